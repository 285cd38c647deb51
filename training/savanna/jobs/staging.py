"""The user's files that go to the cluster with a job."""

from __future__ import annotations

import contextlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from savanna.errors import UsageError

_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".git", ".venv", "runs")


def module_of(env: str | None) -> str | None:
    """`package.module` of an environment written as `package.module:Class` or
    `package.module:Id-v0`; else `None`."""
    match = re.fullmatch(r"([A-Za-z_][\w.]*):[\w./-]+", env or "")
    return match[1] if match else None


def files_of(names: Sequence[str | None], more: Sequence[Path], folder: Path) -> list[Path]:
    """The modules of the user's own environments and experiments that are in `folder`, and `more`;
    all of them exist. `names` are written `module:Class`.

    A module that is not in `folder` must be in the cluster's image, and is not sent.
    """
    found: list[Path] = []
    for module in filter(None, map(module_of, names)):
        top = folder / module.split(".")[0]
        found += [p for p in (top.with_suffix(".py"), top) if p.is_file() or (p / "").is_dir()][:1]
    problems = []
    for path in more:
        if not path.exists():
            problems.append(f"--py-modules {path}: no such file or folder.")
        elif path.is_file() and path.suffix != ".py":
            problems.append(f"--py-modules {path}: give a .py file or a package folder.")
        found.append(path)
    by_name = {path.resolve().name: path.resolve() for path in found}
    if len({path.resolve() for path in found}) != len(by_name):
        problems.append("--py-modules: two of the files have the same name.")
    if problems:
        raise UsageError("\n".join(problems))
    return list(by_name.values())


@contextlib.contextmanager
def staged(files: Sequence[Path]) -> Iterator[Path | None]:
    """A temporary folder with copies of `files`; `None` without files."""
    if not files:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="savanna-submit-") as name:
        for path in files:
            target = Path(name) / path.name
            if path.is_dir():
                shutil.copytree(path, target, ignore=_LEFT_OUT)
            else:
                shutil.copy(path, target)
        yield Path(name)
