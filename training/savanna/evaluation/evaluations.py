"""Evaluating checkpoints, with fixed seeds and an interval for every mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from savanna.envs.environment import Played
from savanna.envs.families import environment_of
from savanna.envs.particle.world import OldScale
from savanna.errors import UsageError
from savanna.evaluation.team import load_team
from savanna.interval import half_width
from savanna.runs.directory import RunDirectory

PERCENTILES = (5, 25, 50, 75, 95)


@dataclass(frozen=True)
class Evaluation:
    """Returns of `episodes` episodes, episode i played with `seed + i`."""

    checkpoint: int
    episodes: int
    seed: int
    mean: float
    ci95: tuple[float, float]  # of the mean, Student's t
    std: float
    min: float
    max: float
    percentiles: dict[str, float]
    length_mean: float  # agent steps
    explore: bool
    returns: list[float]
    at: str
    metrics: dict[str, float] = field(default_factory=dict)  # means of other measurements


def evaluate(
    run: RunDirectory,
    which: str = "best",
    *,
    episodes: int = 10,
    seed: int = 10_000,
    explore: bool = False,
) -> list[Evaluation]:
    """Evaluate one checkpoint, or with `which="all"` every kept one on the same seeds.

    By default, actions are the most likely ones: that is the policy people export and deploy, and
    it makes results reproducible to the last digit. `explore` samples them: from the policy, or
    with the training's mean noise if actors give continuous actions.
    Adds to the run's `evaluations.json`.
    """
    chosen = run.checkpoints() if which == "all" else [run.checkpoint(which)]
    if not chosen:
        raise UsageError(f"run {run.id} has no checkpoint yet: {run.path}")
    config = run.config
    environment = environment_of(config)
    players = (load_team(run.checkpoint_path(info.number), config).act for info in chosen)
    found: list[Evaluation] = []
    for played in environment.play(players, episodes, seed, explore):
        number = chosen[len(found)].number
        result = summarize(number, played, seed, explore, environment.old_scale)
        found.append(result)
        _store(run, [result])  # saved even if the rest is interrupted
        text = f"checkpoint {number}: mean {result.mean:.2f} over {result.episodes} episodes"
        print(text, file=sys.stderr, flush=True)
    return found


def summarize(
    checkpoint: int,
    played: Sequence[Played],
    seed: int,
    explore: bool,
    scale: OldScale | None = None,
) -> Evaluation:
    """The statistics of one evaluation; `scale` adds the return on the retired service's scale."""
    values = np.asarray([episode.total for episode in played], float)
    names = played[0].metrics
    metrics = {name: float(np.mean([e.metrics[name] for e in played])) for name in names}
    mean, count = float(values.mean()), len(values)
    std = float(values.std(ddof=1)) if count > 1 else 0.0
    if scale is not None:
        metrics["old_return"] = scale(mean)
    half = half_width(values.tolist()) if count > 1 else 0.0
    return Evaluation(
        checkpoint=checkpoint,
        episodes=count,
        seed=seed,
        mean=mean,
        ci95=(mean - half, mean + half),
        std=std,
        min=float(values.min()),
        max=float(values.max()),
        percentiles={str(p): float(np.percentile(values, p)) for p in PERCENTILES},
        length_mean=float(np.mean([episode.length for episode in played])),
        explore=explore,
        returns=values.tolist(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        metrics=metrics,
    )


def _store(run: RunDirectory, found: Sequence[Evaluation]) -> None:
    new: list[dict[str, Any]] = [asdict(e) for e in found]
    replaced = {(e["checkpoint"], e["explore"]) for e in new}
    old = run.read_json("evaluations.json", [])
    kept = [e for e in old if (e["checkpoint"], e["explore"]) not in replaced]
    run.write_json("evaluations.json", kept + new)
