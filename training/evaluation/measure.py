"""Evaluating checkpoints: fixed seeds, an interval beside every mean."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv
from scipy import stats

from training.errors import UsageError
from training.evaluation.environments import make_vector_env
from training.evaluation.policy import Policy, load_policy
from training.run_directory import RunDirectory

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


def evaluate(
    run: RunDirectory,
    which: str = "best",
    *,
    episodes: int = 10,
    seed: int = 10_000,
    explore: bool = False,
) -> list[Evaluation]:
    """Evaluate one checkpoint, or with `which="all"` every kept one on the same seeds.

    By default actions are the most probable ones: that is the policy people take out and deploy,
    and it makes a result repeatable to the last digit. `explore` draws them as in training.
    Adds to the run's `evaluations.json`.
    """
    chosen = run.checkpoints() if which == "all" else [run.checkpoint(which)]
    if not chosen:
        raise UsageError(f"run {run.id} has no checkpoint (yet): {run.path}")
    envs = make_vector_env(run.config, episodes)
    found = []
    try:
        for info in chosen:
            policy = load_policy(run.checkpoint_path(info.number))
            returns, lengths = play(policy, envs, seed, explore)
            found.append(summarize(info.number, returns, lengths, seed, explore))
            print(
                f"checkpoint {info.number}: mean {found[-1].mean:.2f} of {episodes} episodes",
                file=sys.stderr,
                flush=True,
            )
    finally:
        envs.close()
    _store(run, found)
    return found


def play(
    policy: Policy, envs: VectorEnv[Any, Any, Any], seed: int, explore: bool
) -> tuple[list[float], list[int]]:
    """One episode in every slot: their returns and lengths.

    A slot counts until its first end. Taking the first episodes to finish of many would favour
    short ones.
    """
    count = envs.num_envs
    rng = np.random.default_rng(seed) if explore else None
    observations, _ = envs.reset(seed=seed)
    returns, lengths = np.zeros(count), np.zeros(count, int)
    running = np.ones(count, bool)
    while running.any():
        observations, rewards, terminated, truncated, _ = envs.step(policy.act(observations, rng))
        returns += rewards * running
        lengths += running
        running &= ~(terminated | truncated)
    return returns.tolist(), lengths.tolist()


def summarize(
    checkpoint: int, returns: Sequence[float], lengths: Sequence[int], seed: int, explore: bool
) -> Evaluation:
    """The statistics of one evaluation."""
    values = np.asarray(returns, float)
    mean, count = float(values.mean()), len(values)
    std = float(values.std(ddof=1)) if count > 1 else 0.0
    half = float(stats.t.ppf(0.975, count - 1)) * std / math.sqrt(count) if count > 1 else 0.0
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
        length_mean=float(np.mean(lengths)),
        explore=explore,
        returns=values.tolist(),
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _store(run: RunDirectory, found: Sequence[Evaluation]) -> None:
    new: list[dict[str, Any]] = [asdict(e) for e in found]
    replaced = {(e["checkpoint"], e["explore"]) for e in new}
    old = run.read_json("evaluations.json", [])
    kept = [e for e in old if (e["checkpoint"], e["explore"]) not in replaced]
    run.write_json("evaluations.json", kept + new)
