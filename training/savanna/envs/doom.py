"""Doom scenarios, played by ViZDoom: worlds in three dimensions, seen from within."""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from savanna.envs.environment import Act, Shot, each
from savanna.envs.one_agent import OneAgent
from savanna.errors import SavannaError, UsageError

if TYPE_CHECKING:
    import gymnasium as gym
    from gymnasium.vector import VectorEnv

SCENARIOS = (
    "basic",
    "deadly_corridor",
    "deathmatch",
    "defend_the_center",
    "defend_the_line",
    "health_gathering",
    "health_gathering_supreme",
    "my_way_home",
    "predict_position",
    "rocket_basic",
    "simpler_basic",
    "take_cover",
)
"""ViZDoom's for one player, with the free game data that it brings."""
ENV_CONFIG: dict[str, Any] = {
    "frame_skip": 4,
    "max_buttons": 1,
    "frame_size": 40,
    "grey": False,
    "frame_stack": 1,
}
"""Settings and their defaults: two of `DoomEnv`, then those of `PictureSettings`."""
LIMITS = {"frame_skip": 35, "max_buttons": 2}
"""The game's settings. With three of a deathmatch's 19 buttons there would be 1160 actions."""
THREADS = 4
"""Of each env runner; they wait for the games, which are processes."""
MISSING = "ViZDoom is not installed. Here: make setup; in images: make images EXTRAS=doom"


class Doom(OneAgent):
    what, train_words = "a Doom scenario", "doom --scenario"
    most_at_once = 16  # processes

    @classmethod
    def recognises(cls, name: str) -> bool:
        return name in SCENARIOS

    def check(self) -> list[str]:
        from savanna.envs.pictures import PictureSettings

        if self.name not in SCENARIOS:
            close = difflib.get_close_matches(self.name, SCENARIOS, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UsageError(
                f"no Doom scenario {self.name!r}.{hint} There are: {', '.join(SCENARIOS)}."
            )
        if importlib.util.find_spec("vizdoom") is None:
            raise UsageError(f"{self.name}: {MISSING}.")
        PictureSettings.of(self._given)
        problems = [
            f"env_config.{name} must be a whole number from 1 to {most}."
            for name, most in LIMITS.items()
            if type(self._given[name]) is not int or not 1 <= self._given[name] <= most
        ]
        if problems:
            raise UsageError("\n".join(problems))
        return []

    @property
    def task(self) -> dict[str, Any]:
        return {name: self._given[name] for name in LIMITS}

    @property
    def _given(self) -> dict[str, Any]:
        return {**ENV_CONFIG, **self.settings}

    def make(self, render_mode: str | None = None, **options: Any) -> gym.Env[Any, Any]:
        """`options` of `DoomEnv` come before the run's settings."""
        self.check()
        from savanna.envs.doom_game import DoomEnv

        return DoomEnv(self.name, render_mode=render_mode, **(self.task | options))

    def make_as_trained(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        from gymnasium.wrappers import TimeLimit

        from savanna.envs.as_seen import as_seen
        from savanna.envs.gymnasium_env import EPISODE_LIMIT

        # Most scenarios end earlier; a few go on until the player dies.
        return as_seen(TimeLimit(self.make(render_mode), EPISODE_LIMIT), self._given)

    def vector(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        from savanna.envs.threaded import ThreadedEnvs

        return ThreadedEnvs([self.make_as_trained] * num_envs, min(num_envs, THREADS))

    def frames_per_second(self) -> int:
        return 35  # real time: every tic is filmed

    def film(self, act: Act, seed: int) -> Iterator[Shot]:
        """Play two games with the same seed and actions: one for the policy, and one for the
        camera, which sees more pixels, and every tic."""
        from savanna.envs.doom_game import LARGE
        from savanna.envs.picture import as_picture

        seen, shown = self.make_as_trained(), self.make(resolution=LARGE, frame_skip=1)
        observation, _ = seen.reset(seed=seed)
        shown.reset(seed=seed)
        score, steps, over = 0.0, 0, False
        try:
            while not over:
                [[action]] = act([each(lambda part: part[None], observation)])
                observation, reward, terminated, truncated, _ = seen.step(action)
                over, same = terminated or truncated, 0.0
                for _ in range(self._given["frame_skip"]):
                    yield Shot(as_picture(shown.render()), steps, score)
                    _, more, ended, cut, _ = shown.step(action)
                    same += float(more)
                    if ended or cut:
                        break
                if abs(same - float(reward)) > 1e-3 or over != (ended or cut):
                    raise SavannaError("the filmed game differs from the one that the policy plays")
                steps, score = steps + 1, score + float(reward)
            yield Shot(as_picture(shown.render()), steps, score)
        finally:
            seen.close()
            shown.close()

    def preprocessing(self) -> dict[str, Any]:
        """How the game's screens become observations, enough to redo it without this code."""
        from savanna.envs.as_seen import preprocessing
        from savanna.envs.doom_game import SCALE, DoomEnv

        made = self.make()
        assert isinstance(made, DoomEnv)
        steps = preprocessing(made.observation_space, made.action_space, self._given)
        made.close()
        names = [button.name for button in made.buttons]
        actions = [
            [name for name, value in zip(names, pressed, strict=True) if value]
            for pressed in made.actions
        ]
        before = [
            "160 x 120 pixels, RGB24, of the scenario's configuration in ViZDoom",
            f"every action is repeated for {self._given['frame_skip']} tics, summing the rewards",
        ]
        if made.variables:
            before.append(f"game variables times {SCALE}")
        return {"actions": actions, "steps": before + steps}
