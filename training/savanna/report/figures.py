"""Which charts the report shows, from the rows of `metrics.csv`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from savanna.recording.text import clock, compact
from savanna.report.chart_data import Chart, Mark, Reference, Series, has_data
from savanna.report.charts import render
from savanna.report.evaluated import episodes_of, interval_of
from savanna.report.scales import finite, number, time_unit

Rows = Sequence[Mapping[str, float]]

_SMALL: tuple[tuple[str, str, tuple[tuple[str, str], ...], str], ...] = (
    (
        "Throughput",
        "agent steps a second",
        (("sampled", "sampled_per_second"), ("trained", "trained_per_second")),
        "machine",
    ),
    (
        "Returns of the teams",
        "mean of 100 episodes, as all of these",
        (("good agents", "good_return"), ("adversaries", "adversary_return")),
        "behaviour",
    ),
    ("Landmarks covered", "at the end", (("covered", "landmarks_covered"),), "behaviour"),
    ("Collisions", "an episode", (("collisions", "collisions"),), "behaviour"),
    ("Distance to landmarks", "", (("distance", "landmark_distance"),), "behaviour"),
    ("Distance to the goal", "", (("distance", "goal_distance"),), "behaviour"),
    (
        "Distance of the teams to the goal",
        "",
        (("good agents", "agent_distance"), ("adversaries", "adversary_distance")),
        "behaviour",
    ),
    ("Catches", "an episode", (("catches", "catches"),), "behaviour"),
    ("Food", "an episode", (("food", "food"),), "behaviour"),
    ("Messages read", "share", (("Bob", "bob_right"), ("Eve", "eve_right")), "behaviour"),
    ("CPU and memory", "%", (("CPU", "cpu_percent"), ("memory", "memory_percent")), "machine"),
    ("Episode length", "agent steps", (("length", "episode_length_mean"),), "machine"),
    ("Policy loss", "", (("policy loss", "policy_loss"),), "learner"),
    ("Value loss", "", (("value loss", "value_loss"),), "learner"),
    (
        "Explained variance",
        "1 is perfect",
        (("explained variance", "explained_variance"),),
        "learner",
    ),
    ("Entropy", "nats", (("entropy", "entropy"),), "learner"),
    ("KL divergence", "behaviour to current, nats", (("KL", "kl"),), "learner"),
    ("Gradient norm", "before clipping", (("norm", "gradient_norm"),), "learner"),
    ("Policy lag", "updates from acting to learning", (("lag", "policy_lag"),), "learner"),
    ("Learning rate", "", (("learning rate", "learning_rate"),), "learner"),
)
"""Title, unit, (name, column) of each line, section."""


@dataclass(frozen=True)
class Figure:
    """A chart with its heading and the newest value of each of its lines."""

    title: str
    unit: str
    legend: tuple[tuple[str, str, str], ...]  # style, name, newest value
    svg: str


def return_figures(
    rows: Rows,
    *,
    references: Mapping[str, float],
    target: float | None,
    evaluations: Sequence[Mapping[str, Any]] = (),
    places: Mapping[int, tuple[float, float]] | None = None,
) -> list[Figure]:
    """Return over agent steps and over training time; none where no episode has finished.

    `places`: checkpoint number -> (agent steps, seconds), where its evaluation is drawn.
    """
    # Returns rise: the target is far from the curve at the start, random play at the end.
    drawn = [] if target is None else [Reference("target", "target", target)]
    for name, value in references.items():
        drawn.append(Reference(name, "random", value, side="end"))
    line = Series(
        "mean of 100 episodes",
        "a",
        _column(rows, "episode_return_mean"),
        _column(rows, "episode_return_min"),
        _column(rows, "episode_return_max"),
    )
    seconds = _column(rows, "seconds")
    scale, unit = time_unit(max(finite(seconds), default=0.0))
    legend = [("a", "mean of 100 episodes", ""), ("a band", "lowest to highest", "")]
    marks = _marks(evaluations, places or {})
    if marks:
        legend.append(("mark", "evaluated checkpoint, 95 % interval", ""))
    charts = (
        Chart(
            "Return over agent steps",
            "agent steps",
            _column(rows, "agent_steps"),
            [line],
            references=drawn,
            marks=marks,
            x_text=lambda x: f"{x:,.0f} agent steps",
        ),
        Chart(
            "Return over training time",
            f"training time ({unit})",
            [s / scale for s in seconds],
            [line],
            references=drawn,
            marks=_marks(evaluations, places or {}, axis=1, scale=scale),
            x_text=lambda x: f"{clock(x * scale)} of training",
        ),
    )
    return [Figure(c.name, "", tuple(legend), render(c)) for c in charts if has_data(c)]


def small_figures(rows: Rows, section: str) -> list[Figure]:
    """The figures of `section` ("machine" or "learner") that have any data."""
    found = []
    for title, unit, lines, where in _SMALL:
        if where != section:
            continue
        series = [
            Series(name, style, _column(rows, column))
            for style, (name, column) in zip("ab", lines, strict=False)
        ]
        chart = Chart(
            f"{title} over agent steps",
            "agent steps",
            _column(rows, "agent_steps"),
            series,
            y_range=_fixed_range(title, series),
            width=340,
            height=196,
            strips=50,
            x_text=lambda x: f"{x:,.0f} agent steps",
        )
        if has_data(chart):
            several = len(series) > 1
            legend = tuple(
                (s.style, s.name if several else "", _newest(s.values))
                for s in series
                if finite(s.values)
            )
            found.append(Figure(title, unit, legend, render(chart)))
    return found


def _fixed_range(title: str, series: Sequence[Series]) -> tuple[float, float] | None:
    if title == "CPU and memory":
        return 0.0, 100.0
    if title in ("Throughput", "Episode length", "Entropy", "Value loss"):
        top = max((v for s in series for v in finite(s.values)), default=0.0)
        return (0.0, top * 1.08) if top > 0 else None
    return None


def _marks(
    evaluations: Sequence[Mapping[str, Any]],
    places: Mapping[int, tuple[float, float]],
    axis: int = 0,
    scale: float = 1.0,
) -> list[Mark]:
    found = []
    for entry in evaluations:
        place = places.get(int(entry["checkpoint"]))
        if place is None:
            continue
        low, high = map(float, entry["ci95"] or (entry["mean"], entry["mean"]))
        parts = [number(entry["mean"]), *interval_of(entry, even=False), episodes_of(entry)]
        text = f"checkpoint {entry['checkpoint']} evaluated: {', '.join(parts)}"
        found.append(Mark(place[axis] / scale, float(entry["mean"]), low, high, text))
    return [m for m in found if math.isfinite(m.x) and finite([m.low]) and finite([m.high])]


def _column(rows: Rows, name: str) -> list[float]:
    return [row.get(name, math.nan) for row in rows]


def _newest(values: Sequence[float]) -> str:
    value = finite(values)[-1]
    return compact(value) if abs(value) >= 10_000 else number(value)
