"""Checks of everything besides playing: other processes, rendering, closing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from savanna.envs.checked_env import CheckedEnv, Result, short


def check_process(checked: CheckedEnv) -> Result:
    """Env runners import it in a new process, and some work in another folder."""
    if checked.player.error:
        return "skipped", "not checked: it does not play here either"
    program = (
        "import json, sys\n"
        "from savanna.envs.checked_env import CheckedEnv\n"
        "env = CheckedEnv(sys.argv[1], json.loads(sys.argv[2])).env\n"
        "env.reset(seed=0)\n"
    )
    environment, settings = checked.environment, json.dumps(checked.environment.settings)
    paths = os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)])
    with tempfile.TemporaryDirectory() as folder:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-c", program, environment.name, settings],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": paths},
                capture_output=True,
                text=True,
                timeout=300,
            )
        except subprocess.TimeoutExpired:
            return "wrong", "a new process took over 300 seconds to create it", "Load less."
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or [
            f"it died with code {done.returncode}"
        ]
        fix = "Open files beside it by Path(__file__).parent, not by a relative path."
        return "wrong", f"in a new process, in another folder: {short(said[-1])}", fix
    return "ok", "a new process in another folder can create it"


def check_close(checked: CheckedEnv) -> Result:
    try:
        checked.env.close()
        checked.env.close()
    except Exception as error:  # whatever the user's code raises
        text = f"close(), called twice, raised {short(error)}"
        return "wrong", text, "Closing it again must do nothing."
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
        picture: Any = env.render()
    except Exception as error:  # whatever the user's code raises
        return "wrong", f"rendering failed: {short(error)}", fix
    if env.render_mode != "rgb_array":
        return "wrong", "the keyword render_mode does not set self.render_mode", fix
    shape: tuple[int, ...] = getattr(picture, "shape", ())
    dtype = getattr(picture, "dtype", type(picture).__name__)
    if len(shape) != 3 or shape[-1] != 3 or dtype != np.uint8:
        fix = "Return uint8 [height, width, 3]."
        return "wrong", f"render() returns {dtype} {list(shape)}", fix
    return "ok", f"pictures of {shape[1]} x {shape[0]} pixels"
