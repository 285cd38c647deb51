"""The environment that is checked, and what playing it showed."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from savanna.envs.families import environment_of
from savanna.envs.gymnasium_env import EPISODE_LIMIT
from savanna.envs.random_play import LongPlay, Player, play_long
from savanna.errors import UsageError

EVENTS = 600
"""Resets and steps looked at."""
LONGEST = 20.0
"""Seconds that waiting for an episode's end may take."""
MEASURED = 1000
"""Steps at least, for the speed."""

Verdict = Literal["ok", "warning", "wrong", "skipped"]
Result = tuple[Verdict, str] | tuple[Verdict, str, str]
"""Of a check: the verdict, what was seen in one line, and what to do about it."""


class CheckedEnv:
    """Everything is made when first asked for, but the environment itself at once.

    Raises:
        UsageError: it cannot be imported or made.
    """

    def __init__(self, env: str, env_config: Mapping[str, Any]) -> None:
        self.environment = environment_of({"env": env, "env_config": env_config})
        self._copies: list[gym.Env[Any, Any]] = []
        self.env = self.environment.make()

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """Another one, closed by `close_copies`."""
        made = self.environment.make(render_mode)
        self._copies.append(made)
        return made

    def close_copies(self) -> None:
        for env in self._copies:
            with contextlib.suppress(Exception):  # closing twice is another check's matter
                env.close()

    @cached_property
    def player(self) -> Player:
        return Player(self.env, seed=7).play(EVENTS)

    @cached_property
    def no_copy(self) -> str | None:
        """Why there cannot be a second one in this process."""
        try:
            self.make()
        except UsageError as error:
            return str(error)
        return None

    @cached_property
    def difference(self) -> str | None:
        """Where a copy with the same seed and actions differs."""
        return self.player.difference(Player(self.make(), seed=7).play(EVENTS))

    @cached_property
    def long_play(self) -> LongPlay:
        return play_long(self.env, EPISODE_LIMIT, at_least=MEASURED, seconds=LONGEST)


def finite(observation: Any) -> bool:
    """Whether there is no NaN and no infinity in it, its parts included."""
    if isinstance(observation, dict):
        return all(map(finite, observation.values()))
    if isinstance(observation, (tuple, list)):
        return all(map(finite, observation))
    values = np.asarray(observation)
    return values.dtype.kind not in "fc" or bool(np.isfinite(values).all())


def outside(space: spaces.Space[Any], observation: Any) -> str | None:
    """Why `observation` is not in `space`; `None` if it is."""
    if isinstance(space, spaces.Box):
        if not isinstance(observation, np.ndarray):
            return f"is a {type(observation).__name__}, not a NumPy array"
        if observation.dtype != space.dtype:
            return f"is of dtype {observation.dtype}, the space of {space.dtype}"
        if observation.shape != space.shape:
            return f"has the shape {observation.shape}, the space {space.shape}"
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
    """Bytes of one observation; `None` where they differ."""
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
    """An error, or any text, in one line of bearable length."""
    text = " ".join(str(error).split())
    if isinstance(error, BaseException):
        text = f"{type(error).__name__}: {text}"
    return text if len(text) < 200 else f"{text[:200]} ..."
