"""Environments that do not behave as guests should. Tests copy this file to where they play."""

import argparse
import os
import subprocess
import sys
import tempfile
import time

import gymnasium as gym
import numpy as np

parser = argparse.ArgumentParser()
parser.add_argument("--size", type=int, default=2)
SIZE = parser.parse_args().size  # of a file that began as a script


class Short(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 0.5}

    def __init__(self, render_mode=None):
        self.render_mode = render_mode
        self.observation_space = gym.spaces.Box(0, 1, (SIZE,), np.float32)
        self.action_space = gym.spaces.Discrete(2)
        self.steps = 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(SIZE, np.float32), {}

    def step(self, action):
        self.t, self.steps = self.t + 1, self.steps + 1
        return np.ones(SIZE, np.float32), float(action), self.t == 9, False, {}

    def render(self):
        picture = np.zeros((32, 48, 3))
        picture[:, self.t : self.t + 8] = 1.0
        return picture


class Rude(Short):
    """Trains all the same."""

    def __init__(self, render_mode=None):
        super().__init__(render_mode)
        os.chdir(tempfile.gettempdir())

    def reset(self, *, seed=None, options=None):
        look, _ = super().reset(seed=seed)
        os.chdir("/")
        return look, {0: 1.0, "legal": np.flatnonzero(self.np_random.random(6) < 0.5)}

    def step(self, action):
        *rest, _ = super().step(action)
        winner = None if self.t % 2 else 3
        return *rest, {"winner": winner, "legal": np.arange(self.t % 3), 0: "zero"}

    def close(self):
        raise RuntimeError("the connection was closed already")


class Quits(Short):
    def __init__(self, at=300):
        super().__init__()
        self.at = at

    def step(self, action):
        if self.steps == self.at:
            sys.exit(3)
        return super().step(action)


class QuitsAtOnce(Short):
    def __init__(self):
        sys.exit("no licence file")


class Aborts(Short):
    """Ends its process as a C library does, after a last word."""

    def step(self, action):
        if self.steps == 5:
            print("the library has no display", flush=True)
            os.abort()
        return super().step(action)


class Hangs(Short):
    def step(self, action):
        if self.steps == 5:
            time.sleep(5)
        return super().step(action)


class HangsInClose(Short):
    def close(self):
        time.sleep(5)


class Starts(Short):
    """Two programs: one of its own, one in a session of its own whose parent has ended."""

    def __init__(self, seconds="171.5"):
        super().__init__()
        subprocess.Popen(["sleep", seconds])  # noqa: TID251 (they end with it)
        os.system(f"setsid sleep {seconds} &")


class Unpaid(Short):
    def step(self, action):
        look, _, *rest = super().step(action)
        return look, None, *rest


class Sentinel(Short):
    """1e300 stands for: no obstacle in sight."""

    def __init__(self):
        super().__init__()
        self.observation_space = gym.spaces.Box(-1e301, 1e301, (SIZE,), np.float64)

    def reset(self, **given):
        look, info = super().reset(**given)
        return look.astype(np.float64), info

    def step(self, action):
        look, *rest = super().step(action)
        return np.where(self.t == 3, 1e300, look.astype(np.float64)), *rest


class AsForRLlib(Short):
    """All settings in one dictionary."""

    def __init__(self, config):
        super().__init__()
        self.length = config["length"] + config.worker_index * 0

    def step(self, action):
        look, reward, _, *rest = super().step(action)
        return look, reward, self.t == self.length, *rest


gym.register("GuestShort-v3", entry_point="guest_envs:Short", max_episode_steps=5)
