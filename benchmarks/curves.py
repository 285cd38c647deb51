"""Returns over training time as an SVG file, drawn like the charts of the report."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from savanna.report.chart_data import Chart, Reference, Series
from savanna.report.charts import render
from savanna.report.scales import time_unit

WIDTH, HEIGHT, LEGEND = 860.0, 360.0, 28.0  # LEGEND: height of a row of names above the chart
COLOURS = ("#c2570c", "#2b7a8c", "#6b4e9b", "#4d7c2b", "#b0306a")
STYLE = """
text { font: 13px sans-serif; fill: #6b6259; }
.grid { stroke: #e5ddd0; } .axis { stroke: #6b6259; }
.line { fill: none; stroke-width: 2.5; stroke-linejoin: round; stroke-linecap: round; }
.reference path { stroke: #4d7c2b; stroke-dasharray: 5 4; } 
.reference text { fill: #4d7c2b; paint-order: stroke; stroke: #fffdf7; stroke-width: 4px; }
.strip rect { fill: transparent; } .strip path, .strip circle { visibility: hidden; }
"""


@dataclass(frozen=True)
class Curve:
    """Points of a line; `x` is in rising seconds."""

    name: str
    x: Sequence[float]
    y: Sequence[float]


def draw(file: Path, name: str, curves: Sequence[Curve], lines: Sequence[Reference] = ()) -> None:
    """Write the curves (at most one per colour) with dashed horizontal `lines`."""
    longest = max((x for curve in curves for x in curve.x), default=0.0)
    seconds, unit = time_unit(longest)
    known = [_finite(curve, seconds) for curve in curves]
    x_label = f"training time ({unit})"
    grid = sorted({x for curve in known for x in curve.x})
    series = [
        Series(curve.name, f"s{i}", np.interp(grid, curve.x, curve.y, math.nan, math.nan).tolist())
        for i, curve in enumerate(known)
    ]
    chart = render(Chart(name, x_label, grid, series, lines, width=WIDTH, height=HEIGHT))
    colours = [f".line.s{i} {{ stroke: {colour}; }}" for i, colour in enumerate(COLOURS)]
    legend, x, row = [], 50.0, 0.0
    for curve, colour in zip(known, COLOURS, strict=False):
        width = 60 + 7.0 * len(curve.name)
        if x + width > WIDTH and x > 50:
            x, row = 50.0, row + LEGEND
        legend.append(
            f'<path d="M{x:g} {row + 16:g}h18" stroke="{colour}" stroke-width="2.5"/>'
            f'<text x="{x + 24:g}" y="{row + 20:g}">{escape(curve.name)}</text>'
        )
        x += width
    top = row + LEGEND
    size = f'y="{top:g}" width="{WIDTH:g}" height="{HEIGHT:g}"'
    file.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:g} {HEIGHT + top:g}">'
        f"<style>{STYLE}{' '.join(colours)}</style>"
        f'<rect width="100%" height="100%" fill="#fffdf7"/>{"".join(legend)}'
        f"{chart.replace('<svg ', f'<svg {size} ', 1)}</svg>\n"
    )


def _finite(curve: Curve, unit: float) -> Curve:
    pairs = [(x / unit, y) for x, y in zip(curve.x, curve.y, strict=True) if math.isfinite(y)]
    return Curve(curve.name, [x for x, _ in pairs], [y for _, y in pairs])
