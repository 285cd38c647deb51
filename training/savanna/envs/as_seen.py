"""An environment as networks see it, whatever its spaces are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from savanna.envs.acting import SUPPORTED, Acting
from savanna.envs.observing import MASK, Observing, has_mask, leaves
from savanna.envs.pictures import PictureSettings


class AsSeen(gym.Wrapper[Any, Any, Any, Any]):
    """Shows observations and takes actions as networks do."""

    def __init__(self, env: gym.Env[Any, Any], observing: Observing, acting: Acting) -> None:
        super().__init__(env)
        self._observing, self._acting = observing, acting
        self.observation_space, self.action_space = observing.space, acting.space

    def reset(self, **options: Any) -> Any:
        observation, info = self.env.reset(**options)
        return self._observing(observation, first=True), info

    def step(self, action: Any) -> Any:
        observation, *rest = self.env.step(self._acting(action))
        return self._observing(observation), *rest


def as_seen(env: gym.Env[Any, Any], settings: Mapping[str, Any] | None = None) -> gym.Env[Any, Any]:
    """`env` as networks see it: itself where its spaces are theirs."""
    acting = Acting(env.action_space)
    pictures = PictureSettings.of(settings or {})
    observing = Observing(env.observation_space, acting.choices, pictures)
    return AsSeen(env, observing, acting) if observing.changes or acting.changes else env


def preprocessing(
    observations: spaces.Space[Any],
    actions: spaces.Space[Any],
    settings: Mapping[str, Any] | None = None,
) -> list[str]:
    """What is done to observations before networks see them."""
    pictures = PictureSettings.of(settings or {})
    return Observing(observations, Acting(actions).choices, pictures).steps


def unsupported(env: gym.Env[Any, Any]) -> str | None:
    """Why no experiment can train on these spaces; `None` if one can."""
    for name in ("observation_space", "action_space"):
        if not isinstance(getattr(env, name, None), spaces.Space):
            return f"{name} is not set to a gymnasium.spaces.Space"
    actions, observations = env.action_space, env.observation_space
    if not isinstance(actions, SUPPORTED):
        kinds = "Discrete, MultiDiscrete, MultiBinary and Box are supported"
        return f"its action space is {_brief(actions)}, but only {kinds}"
    if (without := _without_size(observations)) is not None:
        return f"its observation space {without}, which has no fixed size"
    if spaces.flatdim(observations) == 0:
        return f"its observation space is {_brief(observations)}, which has no numbers"
    if spaces.flatdim(actions) == 0:
        return f"its action space is {_brief(actions)}, which has no numbers"
    choices = Acting(actions).choices
    if has_mask(observations) and choices:
        size = int(np.prod(observations[MASK].shape or (1,)))  # type: ignore[index]
        if size != choices:
            return f"its {MASK} has {size} numbers, but {_brief(actions)} has {choices} choices"
    return None


def _without_size(space: spaces.Space[Any]) -> str | None:
    """What in `space` cannot become a number of numbers that is always the same."""
    for path, part in leaves(space):
        try:
            fixed = part.is_np_flattenable
        except NotImplementedError:  # a kind of space that is not Gymnasium's
            fixed = False
        if not fixed:
            where = "".join(f"[{key!r}]" for key in path)
            return f"has {_brief(part)} in {where}" if path else f"is {_brief(part)}"
    return None


def _brief(space: gym.Space[Any]) -> str:
    shown = f"{space}"
    return shown if len(shown) < 80 and "<" not in shown else type(space).__name__
