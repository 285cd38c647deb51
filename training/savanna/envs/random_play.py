"""Playing random actions in an environment and recording what it returns."""

from __future__ import annotations

import math
import time
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from savanna.envs.host import told

RESET_EVERY = 150
"""Events after which to reset in the middle of an episode."""


@dataclass(frozen=True)
class Event:
    """What one `reset` (without reward and flags) or `step` returned."""

    call: str  # "reset 2" or "step 17", counted from 1
    observation: Any
    reward: Any = None
    terminated: Any = None
    truncated: Any = None


class Player:
    """Random play from a seed, event by event, until an error."""

    def __init__(self, env: gym.Env[Any, Any], seed: int) -> None:
        self.env, self.seed = env, seed
        self.events: list[Event] = []
        self.error: str | None = None
        self._over, self._steps, self._resets = True, 0, 0
        self._actions = deepcopy(env.action_space)
        self._actions.seed(seed)

    def play(self, events: int, seconds: float = math.inf) -> Player:
        """Go on for so many events, or fewer (a reset and two steps at least) once time is up."""
        end = time.monotonic() + seconds
        for made in range(events):
            if made > 2 and time.monotonic() >= end:
                break
            self.advance()
        return self

    def advance(self) -> None:
        """Do one more `reset` or `step`, unless there was an error."""
        if self.error is not None:
            return
        reset = self._over or len(self.events) % RESET_EVERY == 0
        self._resets, self._steps = self._resets + reset, self._steps + (not reset)
        call = f"reset {self._resets}" if reset else f"step {self._steps}"
        try:
            if reset:
                seed = self.seed if not self.events else None
                observation, _ = _tuple(self.env.reset(seed=seed), 2, "(observation, info)")
                event, self._over = Event(call, deepcopy(observation)), False
            else:
                wanted = "(observation, reward, terminated, truncated, info)"
                result = _tuple(self.env.step(self._actions.sample()), 5, wanted)
                event = Event(call, *deepcopy(result[:4]))
                self._over = bool(np.any(event.terminated) or np.any(event.truncated))
        except _NotTheApi as error:
            self.error = f"{call} {error}"
            return
        except Exception as error:  # whatever the user's code raises
            self.error = f"{call} raised {told(error)}"
            return
        self.events.append(event)

    def difference(self, other: Player) -> str | None:
        """Where the two first differ, as text; `None` if they are identical to the last bit."""
        for mine, theirs in zip(self.events, other.events, strict=False):
            for part in ("call", "observation", "reward", "terminated", "truncated"):
                if not same(getattr(mine, part), getattr(theirs, part)):
                    return f"{mine.call} gave a different {part if part != 'call' else 'length'}"
        if self.error != other.error:
            return self.error or other.error
        return None


@dataclass(frozen=True)
class LongPlay:
    """The result of random play without recording."""

    steps: int
    seconds: float
    first_end: int | None  # steps of the first episode; None: none ended
    error: str | None = None

    @property
    def steps_per_second(self) -> float:
        return self.steps / max(self.seconds, 1e-9)


def play_long(env: gym.Env[Any, Any], most_steps: int, at_least: int, seconds: float) -> LongPlay:
    """Play until an episode ends and `at_least` steps; at most `most_steps` steps or `seconds`."""
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(997)]
    first_end: int | None = None
    steps, since_reset = 0, 0
    error = None
    began = time.perf_counter()
    try:
        env.reset(seed=0)
        while steps < most_steps and time.perf_counter() - began < seconds:
            _, _, terminated, truncated, _ = env.step(actions[steps % len(actions)])
            steps, since_reset = steps + 1, since_reset + 1
            if terminated or truncated:
                first_end, since_reset = first_end or since_reset, 0
                if steps >= at_least:
                    break
                env.reset()
            elif first_end is not None and steps >= at_least:
                break
    except Exception as caught:  # whatever the user's code raises
        error = f"step {steps + 1} raised {told(caught)}"
    return LongPlay(steps, time.perf_counter() - began, first_end, error)


def same(one: Any, other: Any) -> bool:
    """Whether both are equal to the last bit, NaN included; compares containers part by part."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[k], other[k]) for k in one)
    if isinstance(one, (tuple, list)) and isinstance(other, (tuple, list)):
        return len(one) == len(other) and all(map(same, one, other))
    mine, theirs = np.asarray(one), np.asarray(other)
    if mine.shape != theirs.shape or mine.dtype != theirs.dtype:
        return False
    return np.array_equal(mine, theirs, equal_nan=mine.dtype.kind in "fc")


class _NotTheApi(Exception):
    """The return value does not have the form that Gymnasium demands."""


def _tuple(result: Any, length: int, wanted: str) -> tuple[Any, ...]:
    if not isinstance(result, tuple) or len(result) != length:
        size = f" of {len(result)}" if isinstance(result, tuple) else ""
        raise _NotTheApi(f"returned a {type(result).__name__}{size}, not {wanted}")
    return result
