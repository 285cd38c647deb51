"""How precisely a mean is known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence


def half_width(values: Sequence[float]) -> float:
    """Half the 95 % confidence interval of the mean of `values` (Student's t); nan if fewer than 2.

    Assumes that the values are independent and roughly normal.
    """
    count = len(values)
    if count < 2:
        return math.nan
    from scipy import stats

    quantile = float(stats.t.ppf(0.975, count - 1))
    return quantile * statistics.stdev(values) / math.sqrt(count)
