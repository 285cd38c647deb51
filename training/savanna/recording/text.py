"""Numbers and times as readable text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

MISSING = "\N{EN DASH}"
_BARS = "▁▂▃▄▅▆▇█"


def compact(value: float) -> str:
    """Three significant digits with a unit prefix: 950, 1.23k, 45.6k, 7.89M."""
    if not math.isfinite(value):
        return MISSING
    for factor, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= factor * 0.9995:
            scaled = value / factor
            digits = 2 if abs(scaled) < 9.995 else 1 if abs(scaled) < 99.95 else 0
            return f"{scaled:.{digits}f}{unit}"
    return f"{value:.0f}"


HUGE = 1e12
"""From here on numbers are shown with a power of ten."""


def clock(seconds: float) -> str:
    """Seconds as 0:07, 12:34 or 1:02:03."""
    if not math.isfinite(seconds):
        return MISSING
    total = max(0, round(seconds))
    hours, minutes, rest = total // 3600, total // 60 % 60, total % 60
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def decimal(value: float, digits: int = 1) -> str:
    """A fixed number of decimals; a missing value is a dash, and a huge one stays short."""
    if not math.isfinite(value):
        return MISSING
    if abs(value) >= HUGE:
        return f"{value:.3g}"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def sparkline(values: Sequence[float], width: int) -> str:
    """`values` (oldest first) as at most `width` bars, each the mean of its share of them."""
    known = [v for v in values if math.isfinite(v)]
    if not known or width < 1:
        return ""
    count = min(width, len(known))
    edges = [round(i * len(known) / count) for i in range(count + 1)]
    means = [sum(known[a:b]) / (b - a) for a, b in itertools.pairwise(edges)]
    low, span = min(means), max(means) - min(means)
    top = len(_BARS) - 1
    return "".join(_BARS[round((m - low) / span * top) if span > 0 else top // 2] for m in means)
