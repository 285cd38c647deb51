"""Environments of Gymnasium and of the user's own (`module:Class`) with one agent and discrete
actions, as PPO trains on them.

What the network sees is a flat vector of float32: boxes are flattened (bytes scaled to 0..1),
discrete values become one-hot. The same is done in training, evaluation, films and exports.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from savanna.envs.custom import construct, find_constructor, is_custom, unknown_keyword
from savanna.envs.environment import Act, Shot
from savanna.envs.one_agent import OneAgent
from savanna.errors import SavannaError, UsageError
from savanna.shield import ignore_instead

if TYPE_CHECKING:
    import gymnasium as gym
    from gymnasium.vector import VectorEnv

EPISODE_LIMIT = 10_000
"""Steps after which an episode is cut (truncated) where the environment sets no limit itself."""


class Gymnasium(OneAgent):
    what, train_words = "a Gymnasium environment", "gym --env"
    ours, own_keywords = False, True

    @classmethod
    def recognises(cls, name: str) -> bool:
        import gymnasium as gym

        return is_custom(name) or name in gym.registry

    def check(self) -> None:
        made = self.make()
        problem = unsupported(made)
        made.close()
        if problem:
            raise UsageError(f"{self.name}: {problem}. `savanna check-env {self.name}` says more.")

    def takes(self, keyword: str) -> str | None:
        import gymnasium as gym

        if is_custom(self.name):
            return unknown_keyword(find_constructor(self.name), keyword)
        if keyword == "max_episode_steps":  # of gymnasium.make
            return None
        entry = self._registered().entry_point
        maker = gym.envs.registration.load_env_creator(entry) if isinstance(entry, str) else entry
        return unknown_keyword(maker, keyword) if callable(maker) else None

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        import gymnasium as gym

        custom, keywords = is_custom(self.name), dict(self.settings)
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
        """As PPO sees it: observations float32 `[n]`, episodes of limited length."""
        from gymnasium.wrappers import TimeLimit

        made = self.make(render_mode)
        if not time_limited(made):
            made = TimeLimit(made, EPISODE_LIMIT)
        for wrap in flattening(made.observation_space).values():
            made = wrap(made)
        return made

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
            [actions] = act([observation[None]])
            observation, reward, terminated, truncated, _ = env.step(actions[0])
            steps, score, over = steps + 1, score + float(reward), terminated or truncated
        yield Shot(np.asarray(env.render(), np.uint8), steps, score)
        env.close()

    def preprocessing(self) -> dict[str, Any]:
        raw = self.make()
        raw.close()
        return {"steps": list(flattening(raw.observation_space))}

    def _make_filmed(self) -> gym.Env[Any, Any]:
        env = self.make_flat(render_mode="rgb_array")
        if env.render_mode != "rgb_array":
            raise SavannaError(
                f"{self.name} cannot be filmed: it needs a keyword render_mode that may be "
                "'rgb_array', and a render() that returns the picture then"
            )
        return env

    def _registered(self) -> gym.envs.registration.EnvSpec:
        import gymnasium as gym

        try:
            return gym.spec(self.name)
        except (gym.error.Error, ImportError, ValueError) as error:
            raise UsageError(f"unknown environment {self.name!r}: {error}") from error


def unsupported(env: gym.Env[Any, Any]) -> str | None:
    """Why none of our experiments trains on these spaces; `None` if one does."""
    from gymnasium import spaces

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


def flattening(space: gym.Space[Any]) -> dict[str, Callable[[Any], gym.Env[Any, Any]]]:
    """The wrappers that make `space` a float32 vector, by what they do in words."""
    import numpy as np
    from gymnasium import wrappers
    from gymnasium.spaces import Box

    steps: dict[str, Callable[[Any], gym.Env[Any, Any]]] = {}
    if not isinstance(space, Box):
        flatten = "one-hot and concatenated, as gymnasium.spaces.flatten does"
        steps[flatten] = wrappers.FlattenObservation
    elif len(space.shape) != 1:
        steps["flattened, last axis fastest"] = wrappers.FlattenObservation
    if not isinstance(space, Box) or space.dtype != np.float32:
        steps["as float32"] = partial(wrappers.DtypeObservation, dtype=np.float32)
    if isinstance(space, Box) and space.dtype == np.uint8:
        steps["scaled from the space's bounds to 0..1"] = partial(
            wrappers.RescaleObservation, min_obs=np.float32(0), max_obs=np.float32(1)
        )
    return steps


class Creator:
    """Makes `env` in whichever process calls it; pickles as the name alone."""

    def __init__(self, env: str) -> None:
        self.env = env

    def __call__(self, env_config: Mapping[str, Any]) -> gym.Env[Any, Any]:
        ignore_instead()
        return Gymnasium(self.env, dict(env_config)).make_flat()


def register(env: str) -> str:
    """Make RLlib's name `env` mean `Gymnasium(env, ...).make_flat()`, on every node; the name."""
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


def _brief(space: gym.Space[Any]) -> str:
    return f"{space}" if len(f"{space}") < 80 else type(space).__name__
