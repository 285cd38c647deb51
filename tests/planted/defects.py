"""The list of defects: reads it, plants a defect in a copy of the checkout and removes it."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path

FOLDER = Path(__file__).parent
NEEDS = ("", "process", "ray", "containers")
"""What the tests start: nothing, other processes, also Ray, or containers (or networks)."""


class ListError(Exception):
    """The list of defects is invalid: one line per mistake."""


@dataclass(frozen=True)
class Defect:
    """In `file`, `old` (there exactly once) becomes `new`, and one of `tests` must fail."""

    name: str
    what: str  # the mistake, in a sentence
    file: str  # from the root of the checkout
    old: str
    new: str
    tests: tuple[str, ...]  # files, or tests in them, in pytest's notation
    needs: str = ""

    def problem(self, root: Path) -> str | None:
        """Why it cannot be planted in the checkout at `root`; `None` if it can."""
        path = root / self.file
        count = path.read_text().count(self.old) if path.is_file() else 0
        if count != 1:
            where = (
                f"occurs {count} times in {self.file}" if path.is_file() else f"{self.file} is gone"
            )
            return f"{self.name} no longer applies: its old text must occur once, but {where}"
        missing = [test for test in self.tests if not _is_there(root, test)]
        return f"{self.name}: there is no test {', '.join(missing)}" if missing else None

    @contextmanager
    def planted(self, root: Path) -> Iterator[None]:
        """Inside the block, the checkout at `root` has the defect."""
        path = root / self.file
        text, times = path.read_text(), path.stat()
        path.write_text(text.replace(self.old, self.new))
        try:
            yield
        finally:
            path.write_text(text)
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # Python checks it


def _is_there(root: Path, test: str) -> bool:
    file, _, name = test.partition("[")[0].partition("::")
    path = root / file
    return path.is_file() and (not name or f"def {name}(" in path.read_text())


def load(folder: Path = FOLDER) -> list[Defect]:
    """All defects in the TOML files in `folder`; `ListError` names every wrong entry."""
    known = {field.name for field in fields(Defect)}
    found: dict[str, Defect] = {}
    problems = []
    for file in sorted(folder.glob("*.toml")):
        for entry in tomllib.loads(file.read_text())["defect"]:
            name = entry.get("name", "an entry without a name")
            missing = known - entry.keys() - {"needs"}
            wrong = sorted((entry.keys() - known) | missing)
            if wrong:
                problems.append(f"{file.name}: {name}: missing or unknown: {', '.join(wrong)}")
                continue
            defect = Defect(**{**entry, "tests": tuple(entry["tests"])})
            if name in found:
                problems.append(f"{file.name}: {name}: the name is taken")
            if defect.needs not in NEEDS or defect.old == defect.new or not defect.tests:
                problems.append(f"{file.name}: {name}: wrong needs, no change, or no tests")
            found[name] = defect
    if problems:
        raise ListError("\n".join(problems))
    return list(found.values())
