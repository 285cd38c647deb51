"""The charts of a group: each run, and the mean of runs that differ only in the seed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from savanna.interval import half_width
from savanna.recording.group_table import settings_text
from savanna.recording.text import clock
from savanna.report.chart_data import Chart, Reference, Series, has_data
from savanna.report.charts import render
from savanna.report.figures import Figure
from savanna.report.scales import finite, number, time_unit
from savanna.runs.group import SEED, Group, Setting

STYLES = ("a", "b", "c", "d", "e", "f", "rest")
"""Classes of the style sheet: one colour per best setting, and one for all others."""

_PLACES = 200  # of every curve

Rows = Sequence[Mapping[str, float]]


@dataclass(frozen=True)
class _Axis:
    name: str
    label: str
    column: str  # of metrics.csv
    scale: float
    text: Any  # x -> text


def group_figures(group: Group) -> list[Figure]:
    """Return over agent steps and over training time; none if no episode has finished."""
    rows = {member.name: member.run.metrics() for member in group.members}
    longest = max((row["seconds"] for found in rows.values() for row in found), default=0.0)
    scale, unit = time_unit(longest)
    axes = (
        _Axis(
            "Return over agent steps",
            "agent steps",
            "agent_steps",
            1.0,
            lambda x: f"{x:,.0f} agent steps",
        ),
        _Axis(
            "Return over training time",
            f"training time ({unit})",
            "seconds",
            scale,
            lambda x: f"{clock(x * scale)} of training",
        ),
    )
    target = dict(group.members[0].run.config.get("stop") or {}).get("return")
    references = [] if target is None else [Reference("target", "target", float(target))]
    found = []
    for axis in axes:
        x = _common(rows.values(), axis)
        series: list[Series] = []
        for rank, setting in reversed([*enumerate(group.settings)]):  # best on top
            style = STYLES[min(rank, len(STYLES) - 1)]
            series += _lines(setting, style, x, rows, axis)
        chart = Chart(axis.name, axis.label, x, series, references=references, x_text=axis.text)
        if has_data(chart):
            found.append(Figure(axis.name, "", _legend(group, series), render(chart)))
    return found


def _common(tables: Any, axis: _Axis) -> list[float]:
    """The x values at which all curves are drawn."""
    import numpy as np

    ends = finite(row[axis.column] / axis.scale for rows in tables for row in rows)
    if not ends:
        return []
    # Include each run's first and last x: a run with a single iteration has no other.
    edges = {rows[i][axis.column] / axis.scale for rows in tables for i in (0, -1) if rows}
    return sorted({*np.linspace(0.0, max(ends), _PLACES).tolist(), *edges})


def _lines(
    setting: Setting, style: str, x: Sequence[float], rows: Mapping[str, Rows], axis: _Axis
) -> list[Series]:
    """A setting's runs, and their mean on top if there are several."""
    several, what = len(setting.members) > 1, settings_text(setting)
    curves = {member: _at(x, rows[member.name], axis) for member in setting.members}
    found = []
    for member, curve in curves.items():
        seed = f"seed {member.drawn[SEED]}" if SEED in member.drawn else ""
        name = ", ".join(filter(None, (what, seed)))
        found.append(Series(name, f"{style} thin" if several else style, curve))
    if len(setting.counted) > 1:
        name = ", ".join(filter(None, (what, "mean")))
        found.append(_mean(name, style, [curves[member] for member in setting.counted]))
    return found


def _at(x: Sequence[float], rows: Rows, axis: _Axis) -> list[float]:
    """The run's curve at `x`, linear between iterations; nan outside its range."""
    import numpy as np

    known = [row for row in rows if math.isfinite(row.get("episode_return_mean", math.nan))]
    if not known:
        return [math.nan] * len(x)
    places = [row[axis.column] / axis.scale for row in known]
    values = [row["episode_return_mean"] for row in known]
    return np.interp(x, places, values, left=math.nan, right=math.nan).tolist()


def _mean(name: str, style: str, curves: Sequence[Sequence[float]]) -> Series:
    """The mean where every run has a value: otherwise it would jump where one ends."""
    columns = [*zip(*curves, strict=True)]
    means = [math.fsum(column) / len(column) for column in columns]
    halves = [half_width(column) if finite(column) == [*column] else math.nan for column in columns]
    low, high = ([m + sign * h for m, h in zip(means, halves, strict=True)] for sign in (-1, 1))
    return Series(name, style, means, low, high)


def _legend(group: Group, drawn: Sequence[Series]) -> tuple[tuple[str, str, str], ...]:
    found = []
    if not group.searched:
        if not any(line.low is not None and finite(line.values) for line in drawn):
            return (("a thin", "each seed", ""),)
        count = len(group.settings[0].counted)
        found.append(("a", f"mean of {count} seeds, where all have a value", ""))
        found.append(("a band", "its 95 % interval", ""))
        return (*found, ("a thin", "each seed", ""))
    for style, setting in zip(STYLES[:-1], group.settings, strict=False):
        found.append((style, settings_text(setting), number(setting.mean)))
    others = len(group.settings) - len(found)
    return (*found, *([("rest", f"{others} others", "")] if others > 0 else []))
