"""`cluster.env`: facts shared by the entry script, Make, Docker and these programs."""

from __future__ import annotations

from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]


@cache
def facts() -> dict[str, str]:
    """All keys and their values, as written."""
    lines = (ROOT / "cluster.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def number(key: str) -> int:
    """The value of `key` as a whole number."""
    return int(facts()[key])
