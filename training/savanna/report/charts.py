"""Line charts as inline SVG. Pure functions: the same numbers give the same text.

Colours come from the page's style sheet by class (`a`, `b`, `target`, ...), so one chart works on
the light and the dark page. Tooltips are `<title>`s on strips, so they need no script.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from html import escape

from savanna.report.chart_data import Chart, Mark, Series
from savanna.report.scales import finite, labels, number, padded, ticks

POINTS = 240
"""Maximum points per line; longer ones are averaged in equal parts."""

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 10.0, 38.0
_CHARACTER = 7.2  # width of a tick character, with room for larger ones on a phone


def render(chart: Chart) -> str:
    """The chart as one `<svg>` element."""
    x, series = _thin(chart)
    known_x = finite([*x, *(m.x for m in chart.marks)])
    place = _Place(chart, (0.0, max(known_x, default=1.0) or 1.0), _y_range(chart, series))
    body = [*_grid(chart, place), *_references(chart, place)]
    for line in series:
        body += _line(line, x, place)
    body += _strips(chart, x, series, place)
    body += [_mark(mark, place) for mark in chart.marks]
    return (
        f'<svg viewBox="0 0 {chart.width:g} {chart.height:g}" role="img" '
        f'aria-label="{escape(chart.name)}">{"".join(body)}</svg>'
    )


class _Place:
    """Maps data to coordinates."""

    def __init__(
        self, chart: Chart, x_range: tuple[float, float], y_range: tuple[float, float]
    ) -> None:
        self.y_ticks = ticks(*y_range, about=5 if chart.height > 220 else 4)
        self.y_labels = labels(self.y_ticks)
        longest = max(map(len, self.y_labels), default=0)
        self.left = max(_LEFT, 12 + longest * _CHARACTER)
        self.right = chart.width - _RIGHT
        self.top, self.bottom = _TOP, chart.height - _BOTTOM
        self.x_range, self.y_range = x_range, y_range

    def x(self, value: float) -> float:
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)


def _y_range(chart: Chart, series: Sequence[Series]) -> tuple[float, float]:
    if chart.y_range:
        return chart.y_range
    values = [v for s in series for part in (s.values, s.low, s.high) for v in part or ()]
    values += [r.value for r in chart.references]
    values += [v for m in chart.marks for v in (m.low, m.value, m.high)]
    return padded(finite(values) or [0.0, 1.0])


def _thin(chart: Chart) -> tuple[list[float], list[Series]]:
    """At most `POINTS` points: means of equal parts, with the band's lowest and highest."""
    count = len(chart.x)
    parts = min(count, POINTS)
    edges = [round(i * count / parts) for i in range(parts + 1)] if parts else [0]

    def reduce(values: Sequence[float], by: Callable[[list[float]], float]) -> list[float]:
        groups = [finite(values[a:b]) for a, b in itertools.pairwise(edges)]
        return [by(group) if group else math.nan for group in groups]

    series = [
        Series(
            s.name,
            s.style,
            reduce(s.values, _mean),
            None if s.low is None else reduce(s.low, min),
            None if s.high is None else reduce(s.high, max),
        )
        for s in chart.series
    ]
    return reduce(chart.x, lambda group: group[-1]), series


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _grid(chart: Chart, place: _Place) -> list[str]:
    found = []
    for value, text in zip(place.y_ticks, place.y_labels, strict=True):
        y = place.y(value)
        found.append(
            f'<path class="grid" d="M{place.left:.1f} {y:.1f}H{place.right:.1f}"/>'
            f'<text class="tick" x="{place.left - 7:.1f}" y="{y + 4:.1f}" '
            f'text-anchor="end">{text}</text>'
        )
    values = ticks(*place.x_range, about=6 if chart.width > 400 else 4)
    for value, text in zip(values, labels(values), strict=True):
        found.append(
            f'<text class="tick" x="{place.x(value):.1f}" y="{place.bottom + 17:.1f}" '
            f'text-anchor="middle">{text}</text>'
        )
    found.append(f'<path class="axis" d="M{place.left:.1f} {place.bottom:.1f}H{place.right:.1f}"/>')
    found.append(
        f'<text class="label" x="{place.right:.1f}" y="{chart.height - 5:.1f}" '
        f'text-anchor="end">{escape(chart.x_label)}</text>'
    )
    return found


def _references(chart: Chart, place: _Place) -> list[str]:
    found = []
    lowest = {"start": -math.inf, "end": -math.inf}  # baseline of the last label on each side
    for reference in sorted(chart.references, key=lambda r: -r.value):
        y = place.y(reference.value)
        text_x = place.left + 6 if reference.side == "start" else place.right - 2
        beside = y - 5 if y - 14 > place.top else y + 14
        # Lines close together: their labels are below each other, in the lines' order.
        text_y = lowest[reference.side] = max(beside, lowest[reference.side] + 14)
        found.append(
            f'<g class="reference {escape(reference.style)}">'
            f'<path d="M{place.left:.1f} {y:.1f}H{place.right:.1f}"/>'
            f'<text x="{text_x:.1f}" y="{text_y:.1f}" text-anchor="{reference.side}">'
            f"{escape(reference.name)} {number(reference.value)}</text></g>"
        )
    return found


def _line(line: Series, x: Sequence[float], place: _Place) -> list[str]:
    found = []
    if line.low is not None and line.high is not None:
        for run in _runs(x, line.low, line.high):
            upper = [f"{place.x(x[i]):.1f} {place.y(line.high[i]):.1f}" for i in run]
            lower = [f"{place.x(x[i]):.1f} {place.y(line.low[i]):.1f}" for i in reversed(run)]
            found.append(f'<path class="band {line.style}" d="M{"L".join([*upper, *lower])}Z"/>')
    for run in _runs(x, line.values):
        points = [f"{place.x(x[i]):.1f} {place.y(line.values[i]):.1f}" for i in run]
        # A line without length, with round ends, is a dot.
        points = points * 2 if len(points) == 1 else points
        found.append(f'<path class="line {line.style}" d="M{"L".join(points)}"/>')
    return found


def _runs(*columns: Sequence[float]) -> list[list[int]]:
    """Unbroken runs of indices at which all columns are finite."""
    runs: list[list[int]] = []
    previous = -2
    for index, row in enumerate(zip(*columns, strict=True)):
        if all(map(math.isfinite, row)):
            if index != previous + 1:
                runs.append([])
            runs[-1].append(index)
            previous = index
    return runs


def _strips(chart: Chart, x: Sequence[float], series: Sequence[Series], place: _Place) -> list[str]:
    """Invisible strips over the chart; each has a tooltip with the values at its place."""
    every = max(1, math.ceil(len(x) / chart.strips))
    shown = [i for i in range(len(x)) if math.isfinite(x[i]) and (len(x) - 1 - i) % every == 0]
    found = []
    for order, index in enumerate(shown):
        at = place.x(x[index])
        left = place.left if order == 0 else (place.x(x[shown[order - 1]]) + at) / 2
        right = place.right if order == len(shown) - 1 else (place.x(x[shown[order + 1]]) + at) / 2
        rows, dots = [chart.x_text(x[index])], ""
        for line in series:
            value = line.values[index]
            if not math.isfinite(value):
                continue
            band = ""
            if line.low is not None and line.high is not None:
                band = f" ({number(line.low[index])} to {number(line.high[index])})"
            rows.append(f"{line.name}: {number(value)}{band}")
            dots += f'<circle class="{line.style}" cx="{at:.1f}" cy="{place.y(value):.1f}" r="3"/>'
        found.append(
            f'<g class="strip"><rect x="{left:.1f}" y="{place.top:g}" '
            f'width="{max(0.0, right - left):.1f}" height="{place.bottom - place.top:.1f}"/>'
            f'<path d="M{at:.1f} {place.top:g}V{place.bottom:.1f}"/>{dots}'
            f"<title>{escape(chr(10).join(rows))}</title></g>"
        )
    return found


def _mark(mark: Mark, place: _Place) -> str:
    x = place.x(mark.x)
    return (
        f'<g class="mark"><path d="M{x:.1f} {place.y(mark.low):.1f}V{place.y(mark.high):.1f}"/>'
        f'<circle cx="{x:.1f}" cy="{place.y(mark.value):.1f}" r="3.5"/>'
        f"<title>{escape(mark.text)}</title></g>"
    )
