"""How far a run is, and how long it may still take, according to its stop rules."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from savanna.metrics import STOP_RULES, IterationResult

_RECENT = 0.3
"""The latest share of the run, which gives the trend of the return."""


@dataclass(frozen=True)
class Progress:
    """`share` of the way to the nearest stop rule (0 to 1) and the `remaining` seconds to it.

    `estimated`: the nearest rule is the return, which can only be estimated. Its share is the way
    from the first mean return to the target; its time extrapolates the recent trend.
    """

    share: float
    remaining: float  # seconds; nan if unknown
    estimated: bool


def measure(
    history: Sequence[IterationResult],
    stop: Mapping[str, float],
    elapsed: float,
    max_duration: float | None = None,
) -> Progress:
    """Progress after `history` (oldest first), `elapsed` seconds after the command began.

    `stop` holds rules of `STOP_RULES`; `max_duration` limits `elapsed`, in seconds.
    """
    found = [Progress(0.0, math.nan, False)]
    if max_duration:
        found.append(Progress(elapsed / max_duration, max_duration - elapsed, False))
    if history:
        for rule, limit in stop.items():
            found.append(_towards(history, rule, limit))
    nearest = max(found, key=lambda p: p.share)
    # The rule with the largest share may not be the first to stop the run: time decides that.
    times = [p for p in found if math.isfinite(p.remaining)]
    soonest = min(times, key=lambda p: p.remaining, default=nearest)
    return Progress(
        share=min(1.0, max(0.0, nearest.share)),
        remaining=max(0.0, soonest.remaining) if times else math.nan,
        estimated=nearest.estimated or soonest.estimated,
    )


def _towards(history: Sequence[IterationResult], rule: str, limit: float) -> Progress:
    name = STOP_RULES[rule]
    now = history[-1]
    value = float(getattr(now, name))
    if rule == "seconds":
        return Progress(value / limit if limit > 0 else 1.0, limit - value, False)
    if rule == "return":
        known = [r for r in history if math.isfinite(r.episode_return_mean)]
        if not known:
            return Progress(0.0, math.nan, True)
        first, last = known[0].episode_return_mean, known[-1].episode_return_mean
        if last >= limit:
            return Progress(1.0, 0.0, True)
        # If the return has dropped since the start, measure from the current one.
        base = min(first, last)
        return Progress((last - base) / (limit - base), _trend(known, limit), True)
    rate = _rate(history, name)
    remaining = (limit - value) / rate if rate > 0 else math.nan
    return Progress(value / limit if limit > 0 else 1.0, remaining, False)


def _rate(history: Sequence[IterationResult], name: str) -> float:
    """A counter's growth per second over the recent part; from 0 if there is only one row."""
    recent = _recent_part(history)
    begin, end = recent[0], recent[-1]
    if begin is end:
        return float(getattr(end, name)) / end.seconds if end.seconds > 0 else 0.0
    seconds = end.seconds - begin.seconds
    return float(getattr(end, name) - getattr(begin, name)) / seconds if seconds > 0 else 0.0


def _trend(known: Sequence[IterationResult], limit: float) -> float:
    """Seconds until the return reaches `limit` at its recent trend; nan if it does not rise."""
    recent = _recent_part(known)
    seconds = [r.seconds for r in recent]
    returns = [r.episode_return_mean for r in recent]
    middle = sum(seconds) / len(seconds)
    spread = sum((s - middle) ** 2 for s in seconds)
    if len(recent) < 3 or spread == 0:
        return math.nan
    slope = sum((s - middle) * r for s, r in zip(seconds, returns, strict=True)) / spread
    return (limit - returns[-1]) / slope if slope > 0 else math.nan


def _recent_part(history: Sequence[IterationResult]) -> Sequence[IterationResult]:
    begin = history[-1].seconds * (1 - _RECENT)
    recent = [r for r in history if r.seconds >= begin]
    return recent if len(recent) >= 3 else history[-3:]
