"""Environments that are slow, hang, die or lie. Tests copy this file to where they train.

They do so after more steps than the checks before training look at.
"""

import os
import signal
import time
from pathlib import Path

import gymnasium as gym
import numpy as np


class Plant(gym.Env):
    """Seconds a step."""

    observation_space = gym.spaces.Box(-1, 1, (3,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, pause=0.05):
        self.pause, self.steps = pause, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return np.zeros(3, np.float32), {}

    def step(self, action):
        time.sleep(self.pause)
        self.t, self.steps = self.t + 1, self.steps + 1
        seen = self.np_random.uniform(-1, 1, 3).astype(np.float32)
        return seen, float(action), self.t >= 7, False, {}


class Hangs(Plant):
    def __init__(self):
        super().__init__(0.0)

    def step(self, action):
        if self.steps == 110:
            time.sleep(1000)
        return super().step(action)


class Lies(Plant):
    """A NaN after so many steps."""

    def __init__(self, after=20, what="reward"):
        super().__init__(0.0)
        self.after, self.what = after, what

    def step(self, action):
        observation, reward, *rest = super().step(action)
        if self.steps == self.after and self.what == "reward":
            reward = float("nan")
        if self.steps == self.after and self.what == "observation":
            observation[1] = np.inf
        return observation, reward, *rest


class Dies(Plant):
    """Kills its process after 110 steps, in the first `lives` processes."""

    def __init__(self, folder, lives=1):
        super().__init__(0.0)
        self.folder, self.lives = folder, lives

    def step(self, action):
        died = Path(self.folder, "died")
        count = len(died.read_text()) if died.exists() else 0
        if self.steps == 110 and count < self.lives:
            died.write_text("x" * (count + 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().step(action)


class Stops(Plant):
    """Asks for an end as the session does."""

    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def step(self, action):
        if self.steps == 5:
            for run in Path(self.folder).glob("runs/gym/*"):
                (run / ".stop").touch()
        return super().step(action)


class Spoils(Plant):
    """In the way of `metrics.csv`."""

    def __init__(self, folder):
        super().__init__(0.0)
        for run in Path(folder).glob("runs/gym/*"):
            (run / "metrics.csv").mkdir(exist_ok=True)


class Fails(Plant):
    """Raises an error after `after` steps, in the first `times` processes."""

    def __init__(self, folder, times=1, after=150, value=0):
        super().__init__(0.0)
        self.folder, self.times, self.after = folder, times, after

    def step(self, action):
        failed = Path(self.folder, "failed")
        count = len(failed.read_text()) if failed.exists() else 0
        if self.steps == self.after and count < self.times:
            failed.write_text("x" * (count + 1))
            raise RuntimeError("the wheel fell off")
        return super().step(action)


class Unmade(Plant):
    """Can be made in the command's process, but in none of Ray's."""

    def __init__(self):
        super().__init__(0.0)
        import ray._private.worker

        if ray._private.worker.global_worker.mode == ray.WORKER_MODE:
            raise RuntimeError("no licence")
