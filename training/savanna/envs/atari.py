"""Atari games on ale-py's native vector environment.

Gymnasium's `PongNoFrameskip-v4` has no vector entry point, so we map its name to
`ale_py.AtariVectorEnv` with the settings that the name stands for. The preprocessing is the
standard one (Machado et al. 2018, Mnih et al. 2015): up to 30 no-ops, FIRE if a game needs it to
start, every action repeated for four frames, the pixel-wise maximum of the last two, greyscale,
resized, the last four observations stacked. Rewards are not clipped: the learner does that.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from savanna.envs.custom import construct
from savanna.envs.environment import Act, Shot
from savanna.envs.one_agent import OneAgent
from savanna.errors import SavannaError, UsageError

if TYPE_CHECKING:
    import gymnasium as gym
    import numpy as np
    from ale_py.vector_env import AtariVectorEnv
    from gymnasium.vector import VectorEnv
    from numpy.typing import NDArray

    Lives = NDArray[np.int32]  # of each game

FRAME_SIZES = (42, 84)
FRAME_SKIP = 4
"""Emulator frames per agent step."""

_NAME = re.compile(
    r"^(?P<ale>ALE/)?(?P<game>[A-Za-z0-9]+?)(?P<kind>NoFrameskip)?-(?P<version>v\d)$"
)


@dataclass(frozen=True)
class AtariGame:
    """What a Gymnasium id says about the game."""

    rom: str  # snake case, as ale-py names its ROMs
    repeat_action_probability: float  # "sticky actions"


def parse_atari_id(env: str) -> AtariGame:
    """`PongNoFrameskip-v4` or `ALE/Pong-v5` -> the game; `UsageError` for anything else."""
    from ale_py import roms

    match = _NAME.match(env)
    if match is None:
        raise UsageError(f"{env!r} is not an Atari id; use PongNoFrameskip-v4 or ALE/Pong-v5.")
    games = {"".join(w.capitalize() for w in rom.split("_")): rom for rom in roms.get_all_rom_ids()}
    if match["game"] not in games:
        close = difflib.get_close_matches(match["game"], games, n=1, cutoff=0.5)
        hint = f" Did you mean {env.replace(match['game'], close[0])!r}?" if close else ""
        raise UsageError(f"no Atari game {match['game']!r} (environment {env!r}).{hint}")
    form = ("NoFrameskip" if match["kind"] else "", match["version"])
    sticky = {("NoFrameskip", "v4"): 0.0, ("NoFrameskip", "v0"): 0.25, ("", "v5"): 0.25}
    if form not in sticky or bool(match["ale"]) != (match["version"] == "v5"):
        raise UsageError(
            f"{env!r} is not supported: Savanna must set the frame skip itself. "
            f"Use {match['game']}NoFrameskip-v4 (deterministic) or ALE/{match['game']}-v5 "
            "(sticky actions)."
        )
    return AtariGame(games[match["game"]], sticky[form])


def make_atari_vector_env(
    env: str,
    num_envs: int,
    *,
    frame_size: int = 42,
    frame_stack: int = 4,
    num_threads: int = 1,
    colour: bool = False,
    episodic_life: bool = False,
) -> AtariVectorEnv:
    """`num_envs` copies of the game `env`.

    Observations are uint8 `[num_envs, frame_stack, frame_size, frame_size]`; with `colour` they
    are full screens `[num_envs, frame_stack, 210, 160, 3]`, for films: the same seeds and actions
    give the same game. Autoreset is Gymnasium's NEXT_STEP: the step after an episode's end
    ignores its action, has reward 0 and returns the first observation of the next episode.
    With `episodic_life`, a step that loses a life is `terminated` although the game goes on: see
    `game_goes_on`.
    """
    from ale_py.vector_env import AtariVectorEnv

    if frame_size not in FRAME_SIZES:
        raise UsageError(f"frame_size must be one of {FRAME_SIZES}, not {frame_size}.")
    game = parse_atari_id(env)
    height, width = (210, 160) if colour else (frame_size, frame_size)
    return AtariVectorEnv(
        game.rom,
        num_envs,
        num_threads=num_threads,
        img_height=height,
        img_width=width,
        grayscale=not colour,
        stack_num=frame_stack,
        frameskip=FRAME_SKIP,
        maxpool=True,
        noop_max=30,
        use_fire_reset=True,
        repeat_action_probability=game.repeat_action_probability,
        full_action_space=False,
        reward_clipping=False,
        life_loss_info=episodic_life,  # ale-py's `episodic_life` starts the game anew
        max_num_frames_per_episode=108_000,
    )


def game_goes_on(terminated: NDArray[np.bool_], lives: Lives, before: Lives) -> NDArray[np.bool_]:
    """Where `terminated` only means a lost life. A game may also be over with lives left."""
    return terminated & (lives < before) & (lives > 0)


class Atari(OneAgent):
    what, train_words = "an Atari game", "atari --env"
    evaluated_with_draws = True

    @classmethod
    def recognises(cls, name: str) -> bool:
        """Whether it looks like an Atari id (the game may still not exist)."""
        match = _NAME.match(name)
        return bool(match and (match["ale"] or match["kind"]))

    @property
    def command(self) -> str:
        self.check()  # a game that does not exist has no command
        return super().command

    def check(self) -> list[str]:
        parse_atari_id(self.name)
        return []

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        return construct(self.name, partial(_make_one, self.name), self.settings)

    def vector(self, num_envs: int, **settings: Any) -> VectorEnv[Any, Any, Any]:
        """`settings` of `make_atari_vector_env` override the run's."""
        own = ("frame_size", "frame_stack")
        given = {name: self.settings[name] for name in own if name in self.settings}
        given["num_threads"] = max(1, min(len(os.sched_getaffinity(0)), 8, num_envs))
        return make_atari_vector_env(self.name, num_envs, **(given | settings))

    def frames_per_second(self) -> int:
        return 60 // FRAME_SKIP  # real time

    def film(self, act: Act, seed: int) -> Iterator[Shot]:
        """Play two games with the same seed and actions: one for the policy, one for the camera."""
        seen, shown = self.vector(1), self.vector(1, colour=True, frame_stack=1)
        observation, _ = seen.reset(seed=seed)
        picture, _ = shown.reset(seed=seed)
        score, steps, over = 0.0, 0, False
        yield Shot(_enlarged(picture[0, 0]), steps, score)
        while not over:
            [action] = act([observation])
            observation, reward, terminated, truncated, _ = seen.step(action)
            picture, same_reward, same_end, _, _ = shown.step(action)
            if reward[0] != same_reward[0] or terminated[0] != same_end[0]:
                raise SavannaError("the filmed game differs from the one that the policy plays")
            steps, score = steps + 1, score + float(reward[0])
            over = bool(terminated[0] or truncated[0])
            yield Shot(_enlarged(picture[0, 0]), steps, score)

    def preprocessing(self) -> dict[str, Any]:
        """How the emulator's screens become observations, enough to redo it without this code."""
        from ale_py import ALEInterface, roms

        game, ale = parse_atari_id(self.name), ALEInterface()
        ale.loadROM(roms.get_rom_path(game.rom))
        size, stack = self.settings["frame_size"], self.settings["frame_stack"]
        return {
            "actions": [action.name for action in ale.getMinimalActionSet()],
            "repeat_action_probability": game.repeat_action_probability,
            "steps": [
                "start: FIRE once if the game has that action, then up to 30 no-ops in all",
                f"repeat every action for {FRAME_SKIP} emulator frames, summing the rewards",
                "take the pixel-wise maximum of the last two frames",
                "convert to greyscale (the emulator's own luminance, ALE getScreenGrayscale)",
                f"resize to {size} x {size} by area averaging (OpenCV INTER_AREA)",
                f"stack the last {stack} frames, oldest first, zeros before the episode's first "
                "frame",
                "no scaling: the model takes bytes",
            ],
        }


def _make_one(
    env: str, *, frame_size: int = 42, frame_stack: int = 4, episodic_life: bool = False
) -> gym.Env[Any, Any]:
    """`episodic_life` is for learning alone: the game is played to its end."""
    from savanna.envs.atari_single import SingleAtari

    given: dict[str, Any] = {"frame_size": frame_size, "frame_stack": frame_stack}
    return SingleAtari(make_atari_vector_env(env, 1, **given))


def _enlarged(picture: Any) -> Any:
    """Twice as high and three times as wide: the console's pixels were not square."""
    return picture.repeat(2, axis=0).repeat(3, axis=1)
