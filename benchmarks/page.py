"""The page that keeps measurements, docs/performance.md, with the hardware they were made on."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from savanna.session.metadata import collect_metadata

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"


def hardware(how: str) -> str:
    """`how` and on what it was measured, in one sentence."""
    data = collect_metadata([], 0, 0, None)
    git, machine, versions = data["git"], data["hardware"], data["versions"]
    commit = f"{git['sha'][:12]}{' with changes' if git['dirty'] else ''}" if git else "unknown"
    return (
        f"{how}, {datetime.now(UTC):%Y-%m-%d}, {machine['cpus']} cores of {machine['cpu']}, "
        f"no GPU, ray {versions['ray']}, torch {versions['torch']}, "
        f"ale-py {versions['ale-py']}, commit {commit}."
    )


def keep(name: str, table: str) -> None:
    """Replace the text between the markers of `name`."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    text = PAGE.read_text()
    before, after = text.partition(begin)[0], text.partition(end)[2]
    PAGE.write_text(f"{before}{begin}\n{table}\n{end}{after}")
