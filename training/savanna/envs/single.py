"""Any environment with one player and discrete actions, as PPO trains on it.

What the network sees is a flat vector of float32: boxes are flattened (bytes scaled to 0..1),
discrete values become one-hot. The same is done in training, evaluation, films and exports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from savanna.envs.atari import is_atari
from savanna.envs.custom import construct, find_constructor, is_custom, unknown_keyword
from savanna.errors import UsageError

EPISODE_LIMIT = 10_000
"""Steps after which an episode is cut (truncated) where the environment sets no limit itself."""


def check_single_env(env: str, env_config: Mapping[str, Any]) -> None:
    """`UsageError` where `env` does not exist, cannot be made, or cannot be trained on."""
    made = make_raw_env(env, env_config)
    problem = unsupported(made)
    made.close()
    if problem:
        raise UsageError(f"{env}: {problem}. `savanna check-env {env}` says more.")


def unsupported(env: gym.Env[Any, Any]) -> str | None:
    """Why none of our experiments trains on these spaces; `None` if one does."""
    for name in ("observation_space", "action_space"):
        if not isinstance(getattr(env, name, None), spaces.Space):
            return f"{name} is not set to a gymnasium.spaces.Space"
    actions, observations = env.action_space, env.observation_space
    if not isinstance(actions, spaces.Discrete):
        return f"its actions are {_brief(actions)}, only Discrete ones can be trained"
    if int(actions.start) != 0:
        return f"its actions begin at {actions.start}, not at 0: drop `start` from Discrete"
    if not observations.is_np_flattenable:
        return f"its observations are {_brief(observations)}, which has no fixed size"
    return None


def make_raw_env(
    env: str, env_config: Mapping[str, Any], render_mode: str | None = None
) -> gym.Env[Any, Any]:
    """The environment itself, its keywords from `env_config`. `UsageError` if it cannot be."""
    keywords = dict(env_config)
    if is_custom(env):
        constructor = find_constructor(env)
        if render_mode is not None and unknown_keyword(constructor, "render_mode") is None:
            keywords["render_mode"] = render_mode
        return construct(env, constructor, keywords)
    for keyword in keywords:
        if (hint := takes(env, keyword)) is not None:
            raise UsageError(f"env_config.{keyword}: {env} has no such keyword.{hint}")
    if render_mode is not None:
        keywords["render_mode"] = render_mode
    return construct(env, partial(gym.make, registered(env), disable_env_checker=True), keywords)


def registered(env: str) -> gym.envs.registration.EnvSpec:
    """The entry of a Gymnasium id; `UsageError` if there is none."""
    try:
        return gym.spec(env)
    except (gym.error.Error, ImportError, ValueError) as error:
        raise UsageError(f"unknown environment {env!r}: {error}") from error


def is_registered(env: str) -> bool:
    """Whether Gymnasium itself has an environment of exactly this id."""
    return env in gym.registry and not is_atari(env)


def takes(env: str, keyword: str) -> str | None:
    """What to say if `--set env_config.keyword=` is nothing `env` knows; `None` if it is."""
    if is_custom(env):
        return unknown_keyword(find_constructor(env), keyword)
    if keyword == "max_episode_steps":  # of gymnasium.make
        return None
    entry = registered(env).entry_point
    maker = gym.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
    return unknown_keyword(maker, keyword) if callable(maker) else None


def make_single_env(
    env: str, env_config: Mapping[str, Any], render_mode: str | None = None
) -> gym.Env[Any, Any]:
    """The environment as PPO sees it: observations float32 `[n]`, episodes of limited length."""
    made = make_raw_env(env, env_config, render_mode)
    if not time_limited(made):
        made = gym.wrappers.TimeLimit(made, EPISODE_LIMIT)
    for wrap in flattening(made.observation_space).values():
        made = wrap(made)
    return made


def flattening(space: spaces.Space[Any]) -> dict[str, Callable[[Any], gym.Env[Any, Any]]]:
    """The wrappers that make `space` a float32 vector, by what they do in words."""
    steps: dict[str, Callable[[Any], gym.Env[Any, Any]]] = {}
    if not isinstance(space, spaces.Box):
        steps["one-hot and concatenated, as gymnasium.spaces.flatten does"] = (
            gym.wrappers.FlattenObservation
        )
    elif len(space.shape) != 1:
        steps["flattened, last axis fastest"] = gym.wrappers.FlattenObservation
    if not isinstance(space, spaces.Box) or space.dtype != np.float32:
        steps["as float32"] = partial(gym.wrappers.DtypeObservation, dtype=np.float32)
    if isinstance(space, spaces.Box) and space.dtype == np.uint8:
        steps["scaled from the space's bounds to 0..1"] = partial(
            gym.wrappers.RescaleObservation, min_obs=np.float32(0), max_obs=np.float32(1)
        )
    return steps


class Creator:
    """Makes `env` in whichever process calls it; pickles as the name alone."""

    def __init__(self, env: str) -> None:
        self.env = env

    def __call__(self, env_config: Mapping[str, Any]) -> gym.Env[Any, Any]:
        return make_single_env(self.env, dict(env_config))


def register(env: str) -> str:
    """Make RLlib's name `env` mean `make_single_env(env, ...)`, on every node; the name."""
    from ray import tune

    tune.register_env(env, Creator(env))
    return env


def time_limited(env: gym.Env[Any, Any]) -> bool:
    """Whether a wrapper ends episodes after a number of steps."""
    while isinstance(env, gym.Wrapper):
        if isinstance(env, gym.wrappers.TimeLimit):
            return True
        env = env.env
    return False


def _brief(space: spaces.Space[Any]) -> str:
    return f"{space}" if len(f"{space}") < 80 else type(space).__name__
