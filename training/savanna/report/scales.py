"""Axes: round tick values and their labels. Pure functions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence

MINUS = "\N{MINUS SIGN}"
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_TIMES = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


def finite(values: Iterable[float]) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round values (1, 2, 2.5 or 5 times a power of ten) from `low` to `high`, inclusive."""
    raw = (high - low) / about
    if not math.isfinite(raw) or raw <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(raw))
    step = min((m * power for m in (1, 2, 2.5, 5, 10)), key=lambda s: abs(math.log(s / raw)))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [i * step for i in range(first, last + 1)]


def padded(values: Sequence[float], share: float = 0.06) -> tuple[float, float]:
    """The range of `values` with some margin; a constant is in the middle."""
    low, high = min(values), max(values)
    if high == low:
        air = abs(low) or 1.0
        return low - air, high + air
    air = (high - low) * share
    return low - air, high + air


def labels(values: Sequence[float]) -> list[str]:
    """Tick values as text, all with the same unit prefix and number of decimals."""
    largest = max((abs(v) for v in values), default=0.0)
    factor, unit = next(((f, u) for f, u in _PREFIXES if largest >= f * 1.0001), (1.0, ""))
    scaled = [v / factor for v in values]
    step = min((b - a for a, b in itertools.pairwise(scaled)), default=largest or 1.0)
    if 0 < step < 1e-6:
        return [signed(f"{v:.3g}") for v in scaled]
    digits = next((d for d in range(8) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 8)
    return [signed(f"{v:.{digits}f}{unit}") if v else "0" for v in scaled]


def time_unit(seconds: float) -> tuple[float, str]:
    """The unit for a span of `seconds`, as (seconds in one unit, its name)."""
    return next(((s, name) for s, name in _TIMES if seconds >= 2 * s), _TIMES[-1])


def number(value: float, digits: int = 3, *, even: bool = False) -> str:
    """A value as readable text: about `digits` significant digits, never 1e-05 for 0.00001.

    `even` keeps trailing zeros (19.0 beside 18.3).
    """
    if not math.isfinite(value):
        return "\N{EN DASH}"
    if value == 0:
        return "0"
    if abs(value) >= 10**digits:
        return signed(f"{value:,.0f}")
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    text = f"{value:.{min(decimals, 12)}f}"
    return signed(text.rstrip("0").rstrip(".") if "." in text and not even else text)


def signed(text: str) -> str:
    """`text` with a typographic minus, and none before zero."""
    if text.startswith("-") and not text.strip("-0."):
        text = text[1:]
    return text.replace("-", MINUS)
