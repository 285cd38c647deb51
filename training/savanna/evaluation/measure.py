"""Evaluating checkpoints: fixed seeds, an interval beside every mean."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from savanna.envs.multi_agent import is_particle, old_scale_of, worlds_of
from savanna.envs.particle.world import Episode, OldScale
from savanna.errors import UsageError
from savanna.evaluation.environments import make_vector_env
from savanna.evaluation.policy import Policy, load_policy
from savanna.evaluation.team import load_team, play_worlds
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
    metrics: dict[str, float] = field(default_factory=dict)  # means of what else was measured


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
    and it makes a result repeatable to the last digit. `explore` draws them: from the policy, or
    with the training's mean noise where actors give continuous actions.
    Adds to the run's `evaluations.json`.
    """
    chosen = run.checkpoints() if which == "all" else [run.checkpoint(which)]
    if not chosen:
        raise UsageError(f"run {run.id} has no checkpoint (yet): {run.path}")
    if is_particle(run.config["env"]):
        found = [_evaluate_team(run, info.number, episodes, seed, explore) for info in chosen]
        _store(run, found)
        return found
    envs = make_vector_env(run.config, episodes)
    found = []
    try:
        for info in chosen:
            policy = load_policy(run.checkpoint_path(info.number))
            returns, lengths = play(policy, envs, seed, explore)
            found.append(summarize(info.number, returns, lengths, seed, explore))
            _tell(found[-1])
    finally:
        envs.close()
    _store(run, found)
    return found


def _evaluate_team(
    run: RunDirectory, number: int, episodes: int, seed: int, explore: bool
) -> Evaluation:
    """The same for the agents of a particle world; the return is the sum of theirs."""
    team = load_team(run.checkpoint_path(number), run.config)
    played = play_worlds(team, worlds_of(run.config, episodes), seed, explore)
    result = summarize_episodes(number, played, seed, explore, old_scale_of(run.config))
    _tell(result)
    return result


def summarize_episodes(
    checkpoint: int, played: Sequence[Episode], seed: int, explore: bool, scale: OldScale | None
) -> Evaluation:
    """The statistics of episodes of particle worlds; `scale` adds the old service's return."""
    returns = [sum(episode.returns) for episode in played]
    result = summarize(checkpoint, returns, [e.length for e in played], seed, explore)
    names = played[0].metrics
    metrics = {name: float(np.mean([e.metrics[name] for e in played])) for name in names}
    if scale is not None:
        metrics["old_return"] = scale(result.mean)
    return replace(result, metrics=metrics)


def _tell(result: Evaluation) -> None:
    text = f"checkpoint {result.checkpoint}: mean {result.mean:.2f} of {result.episodes} episodes"
    print(text, file=sys.stderr, flush=True)


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
