"""Checks of the settings of all algorithms that sample and learn with our own code."""

from __future__ import annotations

import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

UNREAD = {
    "train_batch_size": "train_batch_size_per_learner is what counts",
    "explore": "env runners always explore, and evaluation never does",
    "evaluation_interval": "checkpoints are evaluated after training, or by `savanna evaluate`",
    "batch_mode": "fragments have rollout_fragment_length steps of every environment",
    "shuffle_batch_per_epoch": "samples are always drawn at random",
    "observation_filter": "observations are used as the environment gives them",
    "compress_observations": "fragments are sent as they are",
    "clip_actions": "actions are always within their bounds",
    "normalize_actions": "actions are always those of the environment",
    "gym_env_vectorize_mode": "environments are stepped together",
    "metrics_num_episodes_for_smoothing": "episode means are always over the last 100",
    "remote_worker_envs": "environments are stepped together",
    "sample_timeout_s": "samples are waited for as long as they take",
}
"""RLlib settings that are never read, and what applies instead: setting one is a mistake."""

ITERATION = ("min_time_s_per_iteration", "min_sample_timesteps_per_iteration")
LIMITS = ("max_time_s_per_iteration", "env_runner_lost_timeout_s")


def shared_problems(config: Any, unread: Mapping[str, str] | None = None) -> list[str]:
    """One line per setting of `UNREAD` and `unread` that differs from RLlib's default, and per
    iteration limit that is not a number."""
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

    default = vars(AlgorithmConfig())
    # RLlib derives a separate config for evaluation, with other settings.
    never = {} if config.in_evaluation else {**UNREAD, **(unread or {})}
    problems = [
        f"{name} is not read by {config.algo_class.__name__}: {instead}."
        for name, instead in never.items()
        if vars(config)[name] != default[name]
    ]
    for name in ITERATION:
        value = vars(config)[name]
        if value is not None and not (_is_number(value) and value >= 0):
            problems.append(f"{name} must be None or a number of at least 0, not {value!r}.")
    return problems + limit_problems(config)


def limit_problems(config: Any) -> list[str]:
    """A line for each of `LIMITS` that is no time."""
    return [
        f"{name} must be a number of seconds above 0, not {vars(config)[name]!r}."
        for name in LIMITS
        if not (_is_number(vars(config)[name]) and vars(config)[name] > 0)
    ]


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
