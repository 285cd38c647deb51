"""An evaluation of a checkpoint in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savanna.report.scales import number
from savanna.runs.directory import is_usual


def evaluated(entry: Mapping[str, Any]) -> tuple[str, str]:
    """Its mean, and a note beside it."""
    how = [] if is_usual(entry) else ["sampled" if entry.get("explore") else "greedy"]
    parts = [*interval_of(entry), episodes_of(entry), *how]
    note = ", ".join(parts).removeprefix("95 % interval ")  # the column's head says so
    return number(float(entry["mean"]), even=True), note


def interval_of(entry: Mapping[str, Any], *, even: bool = True) -> list[str]:
    """That of an evaluation's mean, in words; of one episode there is none."""
    if entry["episodes"] < 2:
        return []
    low, high = (number(float(end), even=even) for end in entry["ci95"])
    return [f"95 % interval {low} to {high}"]


def episodes_of(entry: Mapping[str, Any]) -> str:
    """How many were played, and how many of them not to their end."""
    cut = f" ({entry['cut']} ran out of time)" if entry.get("cut") else ""
    return f"{entry['episodes']} episode{'' if entry['episodes'] == 1 else 's'}{cut}"
