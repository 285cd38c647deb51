"""The environment being checked, and what playing it showed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from savanna.envs import host
from savanna.envs.families import environment_of
from savanna.envs.gymnasium_env import EPISODE_LIMIT
from savanna.envs.leftovers import Running
from savanna.envs.random_play import LongPlay, Player, play_long
from savanna.errors import UsageError

EVENTS, FEW_EVENTS = 600, 100
"""Resets and steps to look at, and before training."""
FEW_SECONDS = 1.0
"""How long these may take, before training."""
LONGEST = 20.0
"""Seconds to wait for an episode's end."""
MEASURED = 1000
"""Minimum number of steps for measuring the speed."""


class CheckedEnv:
    """Creates the environment immediately, and everything else on first use.

    `short`: in a few seconds, whatever its steps take. That is how training begins.

    Raises:
        UsageError: it cannot be imported or created.
    """

    def __init__(self, env: str, env_config: Mapping[str, Any], *, short: bool = False) -> None:
        self.environment = environment_of({"env": env, "env_config": env_config})
        self.short = short
        self.wrong = False  # whether a check has found something wrong
        self.before = Running.now()
        host.changes.clear()
        self._copies: list[gym.Env[Any, Any]] = []
        began = time.monotonic()
        self.env = self.environment.make()
        self.slow_to_create = time.monotonic() - began > FEW_SECONDS

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """Another instance, closed by `close_copies`."""
        made = self.environment.make(render_mode)
        self._copies.append(made)
        return made

    def play(self, env: gym.Env[Any, Any]) -> Player:
        """Plays `env` as every other instance."""
        if self.short:
            return Player(env, seed=7).play(FEW_EVENTS, FEW_SECONDS)
        return Player(env, seed=7).play(EVENTS)

    def close_copies(self) -> None:
        copies, self._copies = self._copies, []
        for env in copies:
            with contextlib.suppress(Exception):  # another check is about closing twice
                env.close()

    @cached_property
    def player(self) -> Player:
        return self.play(self.env)

    @cached_property
    def no_copy(self) -> str | None:
        """Why this process cannot have a second instance; `None` if it can."""
        try:
            self.make()
        except UsageError as error:
            return str(error)
        return None

    @cached_property
    def difference(self) -> str | None:
        """Where a copy with the same seed and actions differs; `None` if it does not."""
        return self.player.difference(self.play(self.make()))

    @cached_property
    def long_play(self) -> LongPlay:
        return play_long(self.env, EPISODE_LIMIT, at_least=MEASURED, seconds=LONGEST)


def finite(observation: Any) -> bool:
    """Whether it and all its parts are free of NaN and infinity."""
    if isinstance(observation, dict):
        return all(map(finite, observation.values()))
    if isinstance(observation, (tuple, list)):
        return all(map(finite, observation))
    values = np.asarray(observation)
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def largest(observation: Any) -> float:
    """The largest absolute number in it and all its parts, NaN and infinity aside."""
    if isinstance(observation, dict):
        return max(map(largest, observation.values()), default=0.0)
    if isinstance(observation, (tuple, list)):
        return max(map(largest, observation), default=0.0)
    values = np.asarray(observation)
    if values.dtype.kind not in "iuf":
        return 0.0
    return float(np.abs(values[np.isfinite(values)].astype(np.float64)).max(initial=0.0))


def outside(space: spaces.Space[Any], observation: Any) -> str | None:
    """Why `observation` is not in `space`; `None` if it is."""
    if isinstance(space, spaces.Box):
        if not isinstance(observation, np.ndarray):
            return f"is a {type(observation).__name__}, not a NumPy array"
        if observation.dtype != space.dtype:
            return f"has dtype {observation.dtype}, the space {space.dtype}"
        if observation.shape != space.shape:
            return f"has shape {observation.shape}, the space {space.shape}"
        for limit, beyond in (
            (space.low, observation < space.low),
            (space.high, observation > space.high),
        ):
            if beyond.any():
                where = tuple(int(i) for i in np.argwhere(beyond)[0])
                side = "below" if limit is space.low else "above"
                return f"has {observation[where]:g} at {list(where)}, {side} {limit[where]:g}"
    return None if space.contains(observation) else f"{observation!r:.80} is not in {space!r:.80}"


def observation_bytes(space: spaces.Space[Any]) -> int | None:
    """Bytes per observation; `None` if it varies."""
    if isinstance(space, (spaces.Dict, spaces.Tuple)):
        parts = [
            observation_bytes(part)
            for part in (space.values() if isinstance(space, spaces.Dict) else space)
        ]
        return None if None in parts else sum(p for p in parts if p is not None)
    if space.shape is None or space.dtype is None:
        return None
    return math.prod(space.shape) * space.dtype.itemsize


def short(error: object) -> str:
    """An error, or any text, in one line of limited length."""
    text = " ".join(str(error).split())
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) < 200 else f"{text[:200]} ..."
