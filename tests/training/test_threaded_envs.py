"""Environments that are stepped at the same time play as they would one after the other."""

import threading

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv

from savanna.envs.threaded import ThreadedEnvs


def make():
    return gym.make("CartPole-v1", max_episode_steps=20)


def test_the_same_games_as_one_after_the_other():
    plain, threaded = SyncVectorEnv([make] * 5), ThreadedEnvs([make] * 5, threads=2)
    plain.action_space.seed(1)
    np.testing.assert_array_equal(plain.reset(seed=3)[0], threaded.reset(seed=3)[0])
    ends = 0
    for _ in range(100):
        actions = plain.action_space.sample()
        for one, other in zip(plain.step(actions)[:4], threaded.step(actions)[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        ends += int(plain._autoreset_envs.sum())
    assert ends > 10, "no episode has ended"
    plain.close()
    threaded.close()


class Waits(gym.Env):
    """A step ends when another environment's does."""

    both = threading.Barrier(2, timeout=20)
    observation_space, action_space = gym.spaces.Discrete(2), gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        return 0, {}

    def step(self, action):
        self.both.wait()
        return 1, 1.0, False, False, {}


def test_while_one_waits_the_others_go_on():
    envs = ThreadedEnvs([Waits] * 2, threads=2)
    envs.reset()
    _, rewards, *_ = envs.step(np.array([0, 1]))
    assert rewards.tolist() == [1.0, 1.0]
    envs.close()


def test_what_it_shows_is_not_changed_by_the_next_step():
    envs = ThreadedEnvs([make] * 2, threads=2)
    first, _ = envs.reset(seed=0)
    kept = first.copy()
    envs.step(np.array([0, 1]))
    np.testing.assert_array_equal(first, kept)
    envs.close()
