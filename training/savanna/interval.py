"""How well a mean is known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def half_width(values: Sequence[float]) -> float:
    """Half of the 95 % interval around the mean of `values`, by Student's t; nan of fewer than two.

    It supposes that the values are independent and about normal.
    """
    count = len(values)
    if count < 2:
        return math.nan
    from scipy import stats

    quantile = float(stats.t.ppf(0.975, count - 1))
    return quantile * statistics.stdev(values) / math.sqrt(count)
