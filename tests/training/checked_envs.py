"""Environments for `savanna check-env`: a good one, and classes that break it."""

import textwrap

from savanna.envs.checked_env import CheckedEnv
from savanna.envs.conformance import run_checks

GOOD = '''
import random
from pathlib import Path

import gymnasium as gym
import numpy as np


class Env(gym.Env):
    """A corridor; a draught may push the walker. Nothing is wrong with it."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, render_mode=None, length=6):
        self.render_mode, self.length = render_mode, length
        self.observation_space = gym.spaces.Box(0, length, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(2)

    def look(self):
        return np.asarray([self.place, self.wind], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.wind = 0, self.np_random.random()
        return self.look(), {}

    def step(self, action):
        self.wind = self.np_random.random()
        self.place = int(np.clip(self.place + (1 if action else -1), 0, self.length))
        over = self.place == self.length
        return self.look(), float(over), over, False, {}

    def render(self):
        picture = np.zeros((16, 32, 3), np.uint8)
        picture[:, self.place] = 255
        return picture
'''


def write(folder, name, change="") -> str:
    """A module with the good environment, or with a class that breaks it; returns
    `module:Class`."""
    module = f"checked_{name.replace(' ', '_')}"
    text = GOOD
    if change:
        text += "\n\nGood = Env\n\n\nclass Env(Good):\n"
        text += textwrap.indent(textwrap.dedent(change).strip("\n"), "    ") + "\n"
    (folder / f"{module}.py").write_text(text)
    return f"{module}:Env"


def assert_found_alone(folder, name, check, verdict, says, change) -> None:
    """`check`, and no other, has a finding with this verdict and text where `change` is made."""
    findings = run_checks(CheckedEnv(write(folder, name, change), {}))
    bad = [f for f in findings if f.verdict in ("warning", "wrong")]
    assert [(f.check, f.verdict) for f in bad] == [(check, verdict)], bad
    assert says in bad[0].text and "\n" not in bad[0].text + bad[0].fix
    assert bad[0].fix or check == "gymnasium"
