"""Gymnasium's and the user's own (`module:Class`) environments with one agent.

`as_seen.py` says what networks see of them. Training, evaluation, films and exports all do the
same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from savanna.envs.custom import construct, find_constructor, is_custom, unknown_keyword
from savanna.envs.environment import Act, Shot, each
from savanna.envs.one_agent import OneAgent
from savanna.errors import SavannaError, UsageError
from savanna.shield import ignore_instead

if TYPE_CHECKING:
    import gymnasium as gym
    from gymnasium.vector import VectorEnv

EPISODE_LIMIT = 10_000
"""Steps after which an episode is truncated if the environment itself sets no limit."""


class Gymnasium(OneAgent):
    what, train_words = "a Gymnasium environment", "gym --env"
    ours, own_keywords = False, True

    @classmethod
    def recognises(cls, name: str) -> bool:
        import gymnasium as gym

        return is_custom(name) or name in gym.registry

    def check(self) -> None:
        from savanna.envs.as_seen import unsupported

        made = self.make()
        problem = unsupported(made)
        made.close()
        if problem:
            raise UsageError(f"{self.name}: {problem}. For details: savanna check-env {self.name}")

    def takes(self, keyword: str) -> str | None:
        from savanna.envs.pictures import SETTINGS

        return None if keyword in SETTINGS else self._constructor_takes(keyword)

    @property
    def _of_pictures(self) -> dict[str, Any]:
        """The settings that are ours: what is done to pictures, unless the constructor does it."""
        from savanna.envs.pictures import SETTINGS

        return {
            name: value
            for name, value in self.settings.items()
            if name in SETTINGS and self._constructor_takes(name) is not None
        }

    def _constructor_takes(self, keyword: str) -> str | None:
        import gymnasium as gym

        if is_custom(self.name):
            return unknown_keyword(find_constructor(self.name), keyword)
        if keyword == "max_episode_steps":  # gymnasium.make's
            return None
        entry = self._registered().entry_point
        maker = gym.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
        return unknown_keyword(maker, keyword) if callable(maker) else None

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        import gymnasium as gym

        custom, ours = is_custom(self.name), self._of_pictures
        keywords = {name: value for name, value in self.settings.items() if name not in ours}
        for keyword in keywords:
            if (hint := self.takes(keyword)) is not None:
                raise UsageError(f"env_config.{keyword}: {self.name} has no such keyword.{hint}")
        if render_mode is not None and not (custom and self.takes("render_mode")):
            keywords["render_mode"] = render_mode
        if custom:
            return construct(self.name, find_constructor(self.name), keywords)
        maker = partial(gym.make, self._registered(), disable_env_checker=True)
        return construct(self.name, maker, keywords)

    def make_flat(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """As networks see it, with episodes of limited length."""
        from gymnasium.wrappers import TimeLimit

        from savanna.envs.as_seen import as_seen

        made = self.make(render_mode)
        if not time_limited(made):
            made = TimeLimit(made, EPISODE_LIMIT)
        return as_seen(made, self._of_pictures)

    def make_as_trained(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        return self.make_flat(render_mode)

    def vector(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        from gymnasium.vector import SyncVectorEnv

        return SyncVectorEnv([self.make_flat] * num_envs)

    def frames_per_second(self) -> int:
        env = self._make_filmed()
        env.close()
        return int(env.metadata.get("render_fps", 30))

    def film(self, act: Act, seed: int) -> Iterator[Shot]:
        import numpy as np

        env = self._make_filmed()
        observation, _ = env.reset(seed=seed)
        score, steps, over = 0.0, 0, False
        while not over:
            yield Shot(np.asarray(env.render(), np.uint8), steps, score)
            [actions] = act([each(lambda array: array[None], observation)])
            observation, reward, terminated, truncated, _ = env.step(actions[0])
            steps, score, over = steps + 1, score + float(reward), terminated or truncated
        yield Shot(np.asarray(env.render(), np.uint8), steps, score)
        env.close()

    def preprocessing(self) -> dict[str, Any]:
        from savanna.envs.as_seen import preprocessing

        raw = self.make()
        raw.close()
        return {"steps": preprocessing(raw.observation_space, raw.action_space, self._of_pictures)}

    def _make_filmed(self) -> gym.Env[Any, Any]:
        env = self.make_flat(render_mode="rgb_array")
        if env.render_mode != "rgb_array":
            raise SavannaError(
                f"{self.name} cannot be filmed: its constructor must accept "
                "render_mode='rgb_array', and render() must then return the picture"
            )
        return env

    def _registered(self) -> gym.envs.registration.EnvSpec:
        import gymnasium as gym

        try:
            return gym.spec(self.name)
        except (gym.error.Error, ImportError, ValueError) as error:
            raise UsageError(f"unknown environment {self.name!r}: {error}") from error


class Creator:
    """Creates `env` in whichever process calls it; pickles as only the name."""

    def __init__(self, env: str) -> None:
        self.env = env

    def __call__(self, env_config: Mapping[str, Any]) -> gym.Env[Any, Any]:
        ignore_instead()
        return Gymnasium(self.env, dict(env_config)).make_flat()


def register(env: str) -> str:
    """Register `Gymnasium(env, ...).make_flat()` as RLlib's `env`, on all nodes; return `env`."""
    from ray import tune

    tune.register_env(env, Creator(env))
    return env


def time_limited(env: gym.Env[Any, Any]) -> bool:
    """Whether a wrapper ends episodes after a number of steps."""
    from gymnasium import Wrapper
    from gymnasium.wrappers import TimeLimit

    while isinstance(env, Wrapper):
        if isinstance(env, TimeLimit):
            return True
        env = env.env
    return False
