"""Checks of MADDPG's settings, before anything starts."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

from ray._common.utils import get_system_memory

from savanna.algorithms.shared_checks import shared_problems
from savanna.errors import UsageError

POLICIES = ("maddpg", "ddpg")
LEAST_WORLD_STEPS_PER_UPDATE = 0.05
"""20 updates per step, as in REDQ (Chen et al. 2021). Far below this, a run would never end."""

WHOLE = {
    "n_step": 1,
    "policy_delay": 1,
    "average_updates": 1,
    "replay_capacity": 1,
    "train_batch_size_per_learner": 1,
    "num_steps_sampled_before_learning_starts": 0,
    "num_env_runners": 0,
    "num_envs_per_env_runner": 1,
    "rollout_fragment_length": 1,
    "max_requests_in_flight_per_env_runner": 1,
}
"""Whole numbers, and the minimum of each."""

OF_OTHERS = {
    "num_epochs": "world_steps_per_update sets how often it learns",
    "minibatch_size": "train_batch_size_per_learner is the number of world steps in an update",
}
"""Settings that only our other algorithms read, and what counts instead."""

RANGES: dict[str, tuple[str, Callable[[float], bool]]] = {
    "gamma": ("between 0 and 1", lambda value: 0 <= value <= 1),
    "tau": ("above 0 and at most 1", lambda value: 0 < value <= 1),
    "gumbel_temperature": ("above 0", lambda value: value > 0),
    "world_steps_per_update": (
        f"at least {LEAST_WORLD_STEPS_PER_UPDATE}",
        lambda value: value >= LEAST_WORLD_STEPS_PER_UPDATE,
    ),
    "logit_penalty": ("at least 0", lambda value: value >= 0),
    "target_noise": ("at least 0", lambda value: value >= 0),
    "target_noise_clip": ("at least 0", lambda value: value >= 0),
    "exploration_noise": ("at least 0", lambda value: value >= 0),
}
"""Numbers, and what each may be."""


def problems_of(config: Any) -> list[str]:
    """One line per invalid setting of a `MADDPGConfig`, with what it may be."""
    wrong = _one_by_one(config)
    problems = [
        f"{name} must be {what}, not {_given(config, name)!r}." for name, what in wrong.items()
    ]
    problems += shared_problems(config, OF_OTHERS)
    for name in ("actor_hiddens", "critic_hiddens"):
        units = config.model_config.get(name)
        if not isinstance(units, (list, tuple)) or not all(_is_whole(u, 1) for u in units):
            problems.append(
                f"model_config.{name} must be a list of whole numbers of at least 1, not {units!r}."
            )
    problems += _against_each_other(config, set(wrong))
    try:
        width = config.layout().row_width
    except UsageError as error:
        return [*problems, *str(error).splitlines()]
    return problems if "replay_capacity" in wrong else problems + _memory(config, width)


def _one_by_one(config: Any) -> dict[str, str]:
    """Invalid setting -> what it must be."""
    must: dict[str, tuple[bool, str]] = {}
    for name, least in WHOLE.items():
        ok = _is_whole(_given(config, name), least)
        must[name] = ok, f"a whole number of at least {least}"
    for name, (what, fits) in RANGES.items():
        value = getattr(config, name)
        must[name] = _is_number(value) and fits(value), f"a number {what}"
    for name in ("good_policy", "adv_policy"):
        must[name] = getattr(config, name) in POLICIES, " or ".join(POLICIES)
    rate = "a number above 0, or a schedule [[0, value], [world steps, value], ...]"
    must["lr"] = _is_rate(config.lr), rate
    must["critic_lr"] = config.critic_lr is None or _is_rate(config.critic_lr), f"None, {rate}"
    limit = config.grad_clip
    must["grad_clip"] = limit is None or (_is_number(limit) and limit > 0), "None or above 0"
    must["grad_clip_by"] = config.grad_clip_by == "global_norm", "global_norm"
    must["num_critics"] = _is_whole(config.num_critics, 1) and config.num_critics <= 2, "1 or 2"
    must["share_parameters"] = isinstance(config.share_parameters, bool), "True or False"
    must["seed"] = config.seed is None or _is_whole(config.seed, 0), "None or a whole number"
    must["num_learners"] = (
        _is_whole(config.num_learners, 0) and config.num_learners == 0,
        "0, as MADDPG learns in its driver's process",
    )
    return {name: what for name, (ok, what) in must.items() if not ok}


def _against_each_other(config: Any, wrong: set[str]) -> list[str]:
    """Problems of settings that must not be above others, where both are valid on their own."""
    pairs = [
        (name, "replay_capacity")
        for name in (
            "num_steps_sampled_before_learning_starts",
            "train_batch_size_per_learner",
            "world_steps_per_update",
        )
    ]
    pairs.append(("n_step", "rollout_fragment_length"))
    problems = [
        f"{name} must not be above {limit} ({getattr(config, limit)})."
        for name, limit in pairs
        if not {name, limit} & wrong and getattr(config, name) > getattr(config, limit)
    ]
    parts = ("num_envs_per_env_runner", "rollout_fragment_length")
    if not {*parts, "replay_capacity"} & wrong:
        steps = config.num_envs_per_env_runner * config.rollout_fragment_length
        if steps > config.replay_capacity:
            problems.append(
                f"{' x '.join(parts)} ({steps}) must not be above replay_capacity "
                f"({config.replay_capacity})."
            )
    return problems


def _memory(config: Any, width: int) -> list[str]:
    """A line if the replay buffer's rows, `width` float32 each, do not fit into memory here."""
    row, there = 4 * width, int(get_system_memory())
    if config.replay_capacity * row <= there:
        return []
    return [
        f"replay_capacity {config.replay_capacity} needs {config.replay_capacity * row / 1e9:.1f} "
        f"GB, but this machine has {there / 1e9:.1f} GB of memory: use at most {there // row}."
    ]


def _given(config: Any, name: str) -> Any:
    """The setting itself: for a batch size of None, RLlib would return another setting."""
    hidden = vars(config)
    return hidden[f"_{name}"] if f"_{name}" in hidden else hidden[name]


def _is_number(value: object) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: object, least: int) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= least


def _is_rate(value: object) -> bool:
    """Whether it is a learning rate, or a piecewise linear schedule of RLlib with such values."""
    if not isinstance(value, (list, tuple)):
        return _is_number(value) and value > 0  # type: ignore[operator]
    if len(value) < 2 or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in value):
        return False
    if not all(_is_number(number) for pair in value for number in pair):
        return False
    steps = [step for step, _ in value]
    rising = all(a < b for a, b in pairwise(steps))
    return steps[0] == 0 and rising and all(rate >= 0 for _, rate in value)
