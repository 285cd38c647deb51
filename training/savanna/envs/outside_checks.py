"""Checks of everything besides playing: other processes, rendering, closing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from savanna.envs.checked_env import CheckedEnv, short
from savanna.envs.finding import Result
from savanna.envs.guest import visit
from savanna.envs.host import changes
from savanna.envs.leftovers import left_running, reseeded
from savanna.envs.picture import NoPicture, as_picture
from savanna.errors import UsageError


def check_process(checked: CheckedEnv) -> Result:
    """On a cluster, and for later commands, it is imported by a new process in another folder."""
    if checked.player.error:
        return "skipped", "not checked: it does not play here either"
    environment = checked.environment
    with tempfile.TemporaryDirectory() as folder:
        try:
            # The guest looks for modules in its folder, and where we do.
            path = str(Path.cwd())
            visit("create", environment.name, environment.settings, folder=Path(folder), path=path)
        except UsageError as error:
            text = f"in a new process, in another folder: {short(str(error))}"
            fix = "Open files beside it by Path(__file__).parent, not by a relative path."
            return "warning", text, fix
    return "ok", "a new process in another folder can create it"


def check_close(checked: CheckedEnv) -> Result:
    for _ in range(2):
        checked.env.close()
        if problem := getattr(checked.env, "close_problem", None):
            text = f"close(), called twice, {problem}"
            return "warning", text, "Closing it again must do nothing."
    return "ok", "closes"


def check_films(checked: CheckedEnv) -> Result:
    if checked.environment.ours:
        return "ok", "films show the emulator's screen"
    if checked.player.error or checked.no_copy:
        return "skipped", "not checked: it does not play, or a second instance cannot be created"
    fix = "Accept a keyword render_mode, and list 'rgb_array' in metadata['render_modes']."
    if "rgb_array" not in (checked.env.metadata.get("render_modes") or []):
        return "warning", "no rgb_array rendering: it trains, but cannot be filmed", fix
    try:
        env = checked.make(render_mode="rgb_array")
        env.reset(seed=0)
        rendered: Any = env.render()
    except Exception as error:  # whatever the user's code raises
        return "warning", f"it cannot be filmed: rendering failed: {short(error)}", fix
    if env.render_mode != "rgb_array":
        text = "it cannot be filmed: the keyword render_mode does not set self.render_mode"
        return "warning", text, fix
    try:
        picture = as_picture(rendered)
    except NoPicture as error:
        return "warning", f"it cannot be filmed: {error}", "Return uint8 [height, width, 3]."
    return "ok", f"pictures of {picture.shape[1]} x {picture.shape[0]} pixels"


def check_leftovers(checked: CheckedEnv) -> Result:
    """The last check: everything is closed."""
    seeds = []
    if not (checked.short or checked.environment.ours or checked.player.error or checked.no_copy):
        seeds = reseeded(checked.make)
    checked.close_copies()
    found = [*changes, *seeds, *left_running(checked.before)]
    if not found:
        return "ok", "leaves nothing behind"
    fix = "Undo in close() what it did. Training puts folder and signals back, after every episode."
    return "warning", "; ".join(found), fix
