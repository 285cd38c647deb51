"""The table of a group of runs in the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from savanna.recording.text import decimal
from savanna.runs.group import SEED, Group, Setting
from savanna.runs.summary import Summary

_MEAN = "return over the seeds"
_TEXT = (_MEAN, "state", "run", "drawn")


def headline(group: Group) -> str:
    """The group's result in one line."""
    if group.searched:
        of = "settings" if group.seeded else "runs"
        return f"ranking of {len(group.settings)} {of} by final return"
    return f"final return of {group.folder.name}: {mean_of(group.settings[0])}"


def mean_of(setting: Setting) -> str:
    """The final return; for several seeds, the mean, its interval and the number of seeds."""
    count, whole = len(setting.returns), len(setting.members)
    if whole == 1:
        return decimal(setting.mean, 2)
    seeds = f"{count} seeds" if count == whole else f"{count} of {whole} seeds"
    if count < 2:
        return f"{decimal(setting.mean, 2)} ({seeds})"
    low, high = setting.interval
    return f"mean {setting.mean:.2f}, 95 % interval {low:.2f} to {high:.2f} ({seeds})"


def table(group: Group) -> list[str]:
    """The lines: for a search with seeds, the settings; then every run, best first."""
    lines = [headline(group)]
    keys = [key for key in group.keys if key != SEED]
    if group.searched and group.seeded:
        rows = [
            [str(rank), *(shown(setting.drawn.get(key)) for key in keys), mean_of(setting)]
            for rank, setting in enumerate(group.settings, start=1)
        ]
        lines += [*aligned(["rank", *keys, _MEAN], rows), ""]
    ranked = [
        (rank, member)
        for rank, setting in enumerate(group.settings, start=1)
        for member in setting.members
    ]
    rows = [
        ([str(rank)] if group.searched else [])
        + [shown(member.drawn.get(key)) for key in group.keys]
        + _result(member)
        for rank, member in ranked
    ]
    head = [*(["rank"] if group.searched else []), *group.keys]
    return lines + aligned([*head, "return", "agent steps", "seconds", "state", "run"], rows)


def shown(value: Any) -> str:
    """A drawn value, shortened."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return "-" if value is None else str(value).replace(" ", "")


def drawn_text(member: Summary) -> str:
    """What was drawn for a run: `lr=0.001 gamma=0.98`."""
    return " ".join(f"{key}={shown(value)}" for key, value in member.drawn.items())


def settings_text(setting: Setting) -> str:
    """What the runs of a setting have in common: `lr 0.001, gamma 0.98`."""
    return ", ".join(f"{key} {shown(value)}" for key, value in setting.drawn.items())


def _result(member: Summary) -> list[str]:
    known = math.isfinite(member.final_return)
    return [
        decimal(member.final_return, 2) if known else "-",
        f"{member.agent_steps:,}",
        f"{member.seconds:.0f}",
        member.state,
        member.name,
    ]


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as needed; numbers are right-aligned."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    return [
        "  ".join(
            f"{cell:<{width}}" if name in _TEXT else f"{cell:>{width}}"
            for name, cell, width in zip(head, row, widths, strict=True)
        ).rstrip()
        for row in (head, *rows)
    ]
