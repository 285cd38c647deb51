"""The data of a chart, before it is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from savanna.report.scales import finite, number


@dataclass(frozen=True)
class Series:
    """A named line; `nan` values leave a gap. `low` and `high` draw a band around it."""

    name: str
    style: str  # a class of the style sheet: "a" or "b"
    values: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


@dataclass(frozen=True)
class Reference:
    """A horizontal line with a label at its `start` or `end`."""

    name: str
    style: str
    value: float
    side: str = "start"


@dataclass(frozen=True)
class Mark:
    """A point with an interval."""

    x: float
    value: float
    low: float
    high: float
    text: str


@dataclass(frozen=True)
class Chart:
    """Everything in the chart. All series share the x values."""

    name: str  # for screen readers
    x_label: str
    x: Sequence[float]
    series: Sequence[Series]
    references: Sequence[Reference] = ()
    marks: Sequence[Mark] = ()
    y_range: tuple[float, float] | None = None
    width: float = 460.0
    height: float = 290.0
    strips: int = 80  # tooltips
    x_text: Callable[[float], str] = field(default=lambda x: number(x, 4))


def has_data(chart: Chart) -> bool:
    return any(finite(s.values) for s in chart.series)
