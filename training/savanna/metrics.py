"""Every metric Savanna records: its name, its meaning, and where RLlib reports it.

This module is the only place that knows RLlib's nested result keys. Console, `metrics.csv`,
TensorBoard, MLflow, stop rules and the report all use the names below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

EPISODE_WINDOW = 100
"""Episodes in the running mean of the return. The `return` stop rule waits for a full window."""

TALLY = "tally"
"""Key of a result: what `savanna.algorithms.tally` counts over a whole run."""

STOP_RULES = {
    "return": "episode_return_mean",
    "agent_steps": "agent_steps",
    "seconds": "seconds",
    "iterations": "iteration",
}
"""Names accepted by `--stop`, and the metric each is compared with (stop when metric >= value)."""

TROUBLE = "trouble"
"""Key of a result after which training cannot go on: the cause, in words."""

OLD_SCALE = "old_scale"
"""Key of a result: factor and constant that put its returns on the retired service's scale."""


@dataclass(frozen=True)
class IterationResult:
    """One training iteration, as recorded. `nan` marks a value that does not exist (yet).

    One agent step is one decision of one agent; in Atari it is four emulator frames. Returns of
    several agents are summed.
    """

    iteration: int
    agent_steps: int  # sampled since the run began, resumed parts included
    seconds: float  # training time since the run began, resumed parts included
    episode_return_mean: float  # mean of the last 100 finished episodes, true rewards
    episode_return_min: float
    episode_return_max: float
    episode_length_mean: float  # agent steps
    episodes_total: int
    agent_steps_trained: int  # each sample counted once however often it is reused
    sampled_per_second: float  # agent steps, in this iteration
    trained_per_second: float
    policy_loss: float
    value_loss: float
    entropy: float  # nats
    kl: float  # behaviour to current policy, nats
    gradient_norm: float  # before clipping
    learning_rate: float
    explained_variance: float  # of the value targets; 1 is perfect
    policy_lag: float  # updates between acting and learning, mean over the batch
    cpu_percent: float
    memory_percent: float
    old_return_mean: float = math.nan  # the same, on the retired service's scale
    # Particle worlds only: means of the last 100 episodes. Each world has some of them.
    good_return: float = math.nan  # of all agents that are not adversaries
    adversary_return: float = math.nan
    landmarks_covered: float = math.nan  # at an episode's end
    collisions: float = math.nan
    landmark_distance: float = math.nan
    goal_distance: float = math.nan
    agent_distance: float = math.nan
    adversary_distance: float = math.nan
    catches: float = math.nan
    food: float = math.nan
    bob_right: float = math.nan
    eve_right: float = math.nan

    @classmethod
    def from_rllib(cls, result: Mapping[str, Any]) -> IterationResult:
        """Read one RLlib result that a `Tally` has already read."""
        tally = result[TALLY]
        mean = _number(tally, "return_mean")
        factor, constant = result.get(OLD_SCALE) or (math.nan, math.nan)
        learners = result.get("learners", {})
        policy = learners.get("default_policy") or _mean_of_modules(learners)
        sampled, trained = lifetime_steps(result)
        elapsed = float(result["time_this_iter_s"]) or math.nan
        return cls(
            iteration=int(result["training_iteration"]),
            agent_steps=sampled,
            seconds=float(result["time_total_s"]),
            episode_return_mean=mean,
            episode_return_min=_number(tally, "return_min"),
            episode_return_max=_number(tally, "return_max"),
            episode_length_mean=_number(tally, "length_mean"),
            episodes_total=tally["episodes"],
            agent_steps_trained=trained,
            sampled_per_second=_number(tally, "sampled") / elapsed,
            trained_per_second=_number(tally, "trained") / elapsed,
            policy_loss=_number(policy, "policy_loss"),
            value_loss=_number(policy, "vf_loss", _number(policy, "qf_loss")),
            entropy=_number(policy, "entropy"),
            kl=_number(policy, "mean_kl_loss"),
            gradient_norm=_number(policy, "gradients_default_optimizer_global_norm"),
            learning_rate=_number(policy, "default_optimizer_learning_rate"),
            explained_variance=_number(policy, "vf_explained_var"),
            policy_lag=_number(policy, "policy_lag"),
            cpu_percent=_number(result.get("perf", {}), "cpu_util_percent"),
            memory_percent=_number(result.get("perf", {}), "ram_util_percent"),
            old_return_mean=factor * mean + constant,
            **{name: _number(tally.get("measured", {}), name) for name in EPISODE_METRICS},
        )

    def as_row(self) -> dict[str, float]:
        """Column name -> value, in the order of `COLUMNS`."""
        return {name: getattr(self, name) for name in COLUMNS}


COLUMNS: tuple[str, ...] = tuple(field.name for field in fields(IterationResult))
"""Header of `metrics.csv`; also the metric names in TensorBoard and MLflow."""

EPISODE_METRICS: tuple[str, ...] = COLUMNS[COLUMNS.index("good_return") :]
"""What particle worlds measure besides the return."""


def lifetime_steps(result: Mapping[str, Any]) -> tuple[int, int]:
    """Agent steps sampled since the run began, and how many of them the learner has used."""
    agents = _agents(result)
    sampled = agents * int(_number(result, "num_env_steps_sampled_lifetime", 0))
    everyone = result.get("learners", {}).get("__all_modules__", {})
    trained = int(_number(everyone, "num_env_steps_trained_lifetime", 0) * agents)
    # RLlib's PPO counts its batch again for every minibatch; it learns from every sample.
    return sampled, min(trained, sampled)


def _number(source: Mapping[str, Any], key: str, default: float = math.nan) -> float:
    value = source.get(key)
    return default if value is None else float(value)


def _agents(result: Mapping[str, Any]) -> int:
    """Agents that act in every step of the environment."""
    per_agent = result.get("env_runners", {}).get("num_agent_steps_sampled_lifetime")
    counted = len(per_agent) if isinstance(per_agent, Mapping) else 1
    return int(result.get("num_agents") or max(1, counted))


def _mean_of_modules(learners: Mapping[str, Any]) -> dict[str, float]:
    """The mean of each number that several networks report."""
    found: dict[str, list[float]] = {}
    for module, numbers in learners.items():
        for name, value in numbers.items() if module != "__all_modules__" else ():
            if isinstance(value, (int, float)) and math.isfinite(value):
                found.setdefault(name, []).append(float(value))
    return {name: sum(values) / len(values) for name, values in found.items()}
