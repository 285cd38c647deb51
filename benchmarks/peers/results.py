"""What the candidates reached, as a table and as curves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from savanna.envs.particle.world import old_scale


@dataclass(frozen=True)
class Look:
    """A policy played without noise at some moment of its training."""

    seconds: float
    steps: int  # world steps so far
    returns: Sequence[float]  # one per episode: mpe2's rewards summed over agents and steps


@dataclass(frozen=True)
class Outcome:
    """The result of one candidate; only the last look counts."""

    name: str
    title: str
    versions: dict[str, str]
    settings: str
    looks: tuple[Look, ...]


def on_old_scale(returns: Sequence[float]) -> tuple[float, float]:
    """(mean, its standard error) on the scale of the service that this project replaces."""
    scale = old_scale("simple_spread")
    assert scale is not None
    error = statistics.stdev(returns) / math.sqrt(len(returns)) if len(returns) > 1 else math.nan
    return scale(statistics.fmean(returns)), scale.factor * error


def table(outcomes: Sequence[Outcome]) -> str:
    """The candidates in Markdown; ratios and differences compare them with the first."""
    first = outcomes[0]
    lines = [
        "| MADDPG on simple_spread | seconds | world steps per second | ratio "
        "| greedy return, old scale | difference |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for outcome in outcomes:
        last = outcome.looks[-1]
        mean, error = on_old_scale(last.returns)
        ratio, difference = "", ""
        if outcome is not first:
            ratio = f"{_rate(first) / _rate(outcome):.1f}"
            difference = f"{on_old_scale(first.looks[-1].returns)[0] - mean:+.0f}"
        lines.append(
            f"| {outcome.title} | {last.seconds:.0f} | {_rate(outcome):,.0f} | {ratio} "
            f"| {mean:.1f} ± {error:.1f} | {difference} |"
        )
    sentences = [_passed(first, outcome) for outcome in outcomes[1:]]
    settings = [
        f"- {outcome.title} ({', '.join(f'{k} {v}' for k, v in outcome.versions.items())}): "
        f"{outcome.settings}."
        for outcome in outcomes
    ]
    return "\n".join([*lines, "", *sentences, "", *settings])


def _rate(outcome: Outcome) -> float:
    return outcome.looks[-1].steps / outcome.looks[-1].seconds


def _passed(ours: Outcome, peer: Outcome) -> str:
    """When the first candidate was first seen to be better than the peer's last policy."""
    last = peer.looks[-1]
    mean, _ = on_old_scale(last.returns)
    for look in ours.looks:
        if on_old_scale(look.returns)[0] > mean:
            return (
                f"The first line needed at most {look.seconds:.0f} s to pass what {peer.title} "
                f"reached in {last.seconds:.0f} s."
            )
    return f"The first line did not reach {peer.title}."
