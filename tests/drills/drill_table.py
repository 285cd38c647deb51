"""The table of what drills found, as a part of docs/reliability.md."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

BEGIN, END = "<!-- drills -->", "<!-- end of drills -->"
_NAME = re.compile(r"<!-- (\S.*) --> \|$")


@dataclass
class Row:
    """What one drill found. `failed`: why it did not pass."""

    name: str
    fault: str = ""
    outcome: str = ""
    seconds: float | None = None
    lost: float | None = None
    left: str = "nothing"
    failed: str = ""

    def moment(self) -> str:
        """The drill's name in words."""
        found = re.fullmatch(r"test_drill_(\w+)\.py::test_(\w+)(\[.*)?", self.name)
        assert found is not None, self.name
        return f"{found[1]}: {found[2].replace('_', ' ')}"

    def line(self) -> str:
        """The row in Markdown, with the drill's name in a comment."""
        seconds = "" if self.seconds is None else f"{self.seconds:.1f}"
        lost = "" if self.lost is None else f"{self.lost:g}"
        outcome = f"**failed**: {self.failed[:200]}" if self.failed else self.outcome
        cells = (self.moment(), self.fault, outcome, seconds, lost, self.left)
        text = " | ".join(cell.replace("|", "/") for cell in cells)
        return f"| {text} <!-- {self.name} --> |"


def write(page: Path, rows: Iterable[Row], seed: int) -> None:
    """Put `rows` into the table of `page`, in place of those of the same drills."""
    before, rest = page.read_text().split(BEGIN)
    old, after = rest.split(END)
    lines = {found[1]: line for line in old.splitlines() if (found := _NAME.search(line))}
    lines |= {row.name: row.line() for row in rows}
    failed = sum("**failed**" in line for line in lines.values())
    table = [
        f"{len(lines) - failed} of {len(lines)} drills passed, the last of them with seed {seed}.",
        "",
        "| when | fault | outcome | seconds | iterations lost | left behind |",
        "| --- | --- | --- | ---: | ---: | --- |",
        *(lines[name] for name in sorted(lines)),
    ]
    page.write_text("\n".join([f"{before}{BEGIN}", *table, f"{END}{after}"]))
