"""A Doom scenario as a Gymnasium environment, drawn in software: no window, no display, no sound.

Every environment is a ViZDoom process of its own, which this one waits for.
"""

from __future__ import annotations

import contextlib
import itertools
import shlex
import shutil
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import vizdoom
from gymnasium import spaces
from numpy.typing import NDArray

from savanna.files import temporary_folder

SMALL = vizdoom.ScreenResolution.RES_160X120
LARGE = vizdoom.ScreenResolution.RES_640X480
SCALE = 0.01
"""Of game variables: health, armour and ammunition go to a hundred or two."""

_PLAIN = """#!/bin/sh
cd {folder} && exec {game} "$@"
"""
_ENDS_WITH_US = """#!/bin/sh
# The game would wait for ever for a process that was killed, and leave its shared memory behind.
# Not by SIGTERM: that is blocked in env runners, and what they start inherits it.
[ "$SAVANNA_TOLD" ] || SAVANNA_TOLD=1 exec setpriv --pdeathsig USR1 "$0" "$@"
for word; do [ "$last" != +viz_instance_id ] || id=$word; last=$word; done
folder={folder}
trap 'rm -rf /dev/shm/ViZDoom*"$id" "$folder"; exit' USR1
trap "" INT TERM
cd "$folder" || exit
setpriv --pdeathsig KILL {game} "$@" &
wait $!
"""


class DoomEnv(gym.Env[dict[str, NDArray[Any]], np.int64]):
    """`frame_skip`: tics (of 35 a second) that an action lasts. `max_buttons`: how many of the
    scenario's buttons may be pressed at once; each combination is an action, none included."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 35}  # noqa: RUF012 (Gymnasium's)

    def __init__(
        self,
        scenario: str,
        *,
        frame_skip: int = 4,
        max_buttons: int = 1,
        resolution: vizdoom.ScreenResolution = SMALL,
        render_mode: str | None = None,
    ) -> None:
        self.render_mode, self.frame_skip = render_mode, frame_skip
        self._game = game = vizdoom.DoomGame()
        game.load_config(str(Path(vizdoom.scenarios_path, f"{scenario}.cfg")))
        game.set_screen_resolution(resolution)
        game.set_screen_format(vizdoom.ScreenFormat.RGB24)
        game.set_window_visible(False)
        game.set_sound_enabled(False)
        game.set_mode(vizdoom.Mode.PLAYER)  # it waits for us
        # Those that move by any distance, as a mouse does, are left out.
        self.buttons = [b for b in game.get_available_buttons() if not vizdoom.is_delta_button(b)]
        game.set_available_buttons(self.buttons)
        self.actions = combinations(len(self.buttons), max_buttons)
        self.action_space = spaces.Discrete(len(self.actions))
        shape = (game.get_screen_height(), game.get_screen_width(), 3)
        self.variables = game.get_available_game_variables_size()
        seen: dict[str, spaces.Space[Any]] = {"screen": spaces.Box(0, 255, shape, np.uint8)}
        if self.variables:
            seen["variables"] = spaces.Box(-np.inf, np.inf, (self.variables,), np.float32)
        self.observation_space = spaces.Dict(seen)
        self._own = contextlib.ExitStack()
        folder = self._own.enter_context(temporary_folder("doom-"))
        game.set_doom_config_path(str(folder / "doom.ini"))
        game.set_vizdoom_path(str(_starter(folder)))
        self._seen: dict[str, NDArray[Any]] = {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        super().reset(seed=seed)
        self._game.set_seed(int(self.np_random.integers(2**32)))
        if self._game.is_running():
            self._game.new_episode()
        else:
            self._game.init()
        self._look()
        return self._seen, {}

    def step(
        self, action: Any
    ) -> tuple[dict[str, NDArray[Any]], float, bool, bool, dict[str, Any]]:
        reward = self._game.make_action(self.actions[int(action)], self.frame_skip)
        over = self._game.is_episode_finished()
        truncated = over and self._game.is_episode_timeout_reached()
        if not over:  # after the end there is no screen: the last one stays
            self._look()
        return self._seen, reward, over and not truncated, truncated, {}

    def render(self) -> Any:
        return self._seen["screen"]

    def close(self) -> None:
        self._game.close()
        self._own.close()

    def _look(self) -> None:
        state = self._game.get_state()
        self._seen = {"screen": state.screen_buffer}
        if self.variables:
            self._seen["variables"] = state.game_variables.astype(np.float32) * np.float32(SCALE)


def combinations(buttons: int, most: int) -> list[list[float]]:
    """What is pressed, for every choice of at most `most` of the buttons; fewer buttons first."""
    chosen = (
        together
        for count in range(min(most, buttons) + 1)
        for together in itertools.combinations(range(buttons), count)
    )
    return [[float(b in together) for b in range(buttons)] for together in chosen]


def _starter(folder: Path) -> Path:
    """A program that starts the game with `folder` as its own, where it leaves files."""
    path = folder / "start.sh"
    text = _ENDS_WITH_US if shutil.which("setpriv") else _PLAIN
    game = shlex.quote(vizdoom.exe_path)
    path.write_text(text.format(folder=shlex.quote(str(folder)), game=game))
    path.chmod(0o700)
    return path
