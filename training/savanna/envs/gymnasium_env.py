"""Gymnasium's and the user's own (`module:Class`) environments with one agent.

`as_seen.py` says what networks see of them. Training, evaluation, films, exports and checks all do
the same, with `make_flat`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from savanna.envs.custom import (
    RLlibConfig,
    construct,
    find_constructor,
    import_module,
    is_custom,
    registering_module,
    rllib_config,
    unknown_keyword,
    working_folder_importable,
)
from savanna.envs.environment import Act, Shot, each
from savanna.envs.finding import Finding
from savanna.envs.guest import visit
from savanna.envs.host import hosting
from savanna.envs.one_agent import OneAgent
from savanna.envs.picture import as_picture, as_rate, fitted
from savanna.errors import SavannaError, UsageError
from savanna.shield import ignore_instead

if TYPE_CHECKING:
    import gymnasium as gym
    from gymnasium.vector import VectorEnv

    from savanna.envs.environment import Spaces

EPISODE_LIMIT = 10_000
"""Steps after which an episode is truncated if the environment itself sets no limit."""


class Gymnasium(OneAgent):
    what, train_words = "a Gymnasium environment", "gym --env"
    ours, own_keywords = False, True

    @classmethod
    def recognises(cls, name: str) -> bool:
        import gymnasium as gym

        return is_custom(name) or bool(registering_module(name)[0]) or name in gym.registry

    def check(self) -> list[str]:
        """The checks of `savanna check-env` that training needs, in a few seconds."""
        from savanna.envs.as_seen import unsupported

        if self._is_foreign:
            findings = visit("check", self.name, self.settings, short=True).findings
        else:  # Gymnasium's own are no guests
            made = self.make()
            problem = unsupported(made)
            made.close()
            findings = [Finding("spaces", "wrong", problem)] if problem else []
        wrong = [f"{self.name}: {f.sentences}" for f in findings if f.verdict == "wrong"]
        if wrong:
            raise UsageError("\n".join(wrong))
        return [f"{self.name}: {f.sentences}" for f in findings if f.verdict == "warning"]

    def takes(self, keyword: str) -> str | None:
        from savanna.envs.pictures import SETTINGS

        if keyword in SETTINGS:
            return None
        if self._is_foreign:
            hint: str | None = visit("takes", self.name, {}, keyword=keyword).answer
            return hint
        return self.hint(keyword)

    @property
    def _of_pictures(self) -> dict[str, Any]:
        """The settings that are ours: what is done to pictures, unless the constructor does it."""
        from savanna.envs.pictures import SETTINGS

        return {
            name: value
            for name, value in self.settings.items()
            if name in SETTINGS and self.hint(name) is not None
        }

    def hint(self, keyword: str) -> str | None:
        """`takes`, asked in this process."""
        import gymnasium as gym

        if is_custom(self.name):
            maker: Any = find_constructor(self.name)
            return None if rllib_config(maker) is not None else unknown_keyword(maker, keyword)
        if keyword == "max_episode_steps":  # gymnasium.make's
            return None
        maker = self._registered().entry_point
        if isinstance(maker, str):
            with working_folder_importable(), hosting(f"import {maker}"):
                maker = gym.envs.registration.load_env_creator(maker)
        return unknown_keyword(maker, keyword) if callable(maker) else None

    def spaces(self) -> list[Spaces]:
        return self._told_spaces()[1]

    def all_spaces(self) -> tuple[list[str], list[Spaces]]:
        """What is done to observations; spaces of observations and actions as networks see them."""
        from savanna.envs.as_seen import preprocessing

        raw = self.make()
        raw.close()
        steps = preprocessing(raw.observation_space, raw.action_space, self._of_pictures)
        return steps, super().spaces()

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        from savanna.envs.hosted import Hosted

        ours, maker = self._of_pictures, self._maker()
        settings = {name: value for name, value in self.settings.items() if name not in ours}
        keywords: dict[str, Any] = dict(settings)
        for keyword in keywords:
            if (hint := self.hint(keyword)) is not None:
                raise UsageError(f"env_config.{keyword}: {self.name} has no such keyword.{hint}")
        custom = is_custom(self.name)
        if custom and (config := rllib_config(maker)) not in (None, *keywords):
            keywords = {str(config): RLlibConfig.of(self.settings)}
        if render_mode is not None and not (custom and unknown_keyword(maker, "render_mode")):
            keywords["render_mode"] = render_mode
        return Hosted(construct(self.name, maker, keywords), self.name)

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
        return as_rate(env.metadata.get("render_fps"))

    def film(self, act: Act, seed: int) -> Iterator[Shot]:
        env = self._make_filmed()
        observation, _ = env.reset(seed=seed)
        score, steps, over = 0.0, 0, False
        first = as_picture(env.render())
        yield Shot(first, steps, score)
        while not over:
            [actions] = act([each(lambda array: array[None], observation)])
            observation, reward, terminated, truncated, _ = env.step(actions[0])
            steps, score, over = steps + 1, score + float(reward), terminated or truncated
            yield Shot(fitted(as_picture(env.render()), first), steps, score)
        env.close()

    def preprocessing(self) -> dict[str, Any]:
        return {"steps": self._told_spaces()[0]}

    @property
    def _is_foreign(self) -> bool:
        """Whether its code is neither ours nor Gymnasium's."""
        import gymnasium as gym

        if self.name not in gym.registry:
            return is_custom(self.name) or bool(registering_module(self.name)[0])
        return not str(gym.registry[self.name].entry_point).startswith("gymnasium.envs.")

    def _told_spaces(self) -> tuple[list[str], list[Spaces]]:
        if not self._is_foreign:
            return self.all_spaces()
        found: tuple[list[str], list[Spaces]] = visit("spaces", self.name, self.settings).answer
        return found

    def _maker(self) -> Callable[..., Any]:
        """What creates it from keywords."""
        import gymnasium as gym

        if is_custom(self.name):
            return find_constructor(self.name)
        return partial(gym.make, self._registered(), disable_env_checker=True)

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

        module, name = registering_module(self.name)
        if module:
            import_module(module, f"environment {self.name!r}")
        try:
            return gym.spec(name)
        except (gym.error.Error, ImportError, ValueError) as error:
            raise UsageError(f"unknown environment {self.name!r}: {error}") from error


class Creator:
    """Creates `env` in whichever process calls it; pickles as only the name."""

    def __init__(self, env: str) -> None:
        self.env = env

    def __call__(self, env_config: Mapping[str, Any]) -> gym.Env[Any, Any]:
        ignore_instead()
        return Gymnasium(self.env, env_config).make_flat()


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
