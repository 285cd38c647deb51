"""Many environments that wait for processes of their own, stepped at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import SyncVectorEnv
from gymnasium.vector.utils import concatenate, iterate

from savanna.envs.environment import each


class ThreadedEnvs(SyncVectorEnv):
    """As `SyncVectorEnv`, in `threads` threads: while one waits for its simulator, others go on.

    Each starts anew in the step after its episode's end. Their `info` is dropped.
    """

    def __init__(self, makers: Sequence[Callable[[], gym.Env[Any, Any]]], threads: int) -> None:
        super().__init__(makers)
        self.threads, self._pool = threads, ThreadPoolExecutor(threads)

    def reset(self, *, seed: Any = None, options: dict[str, Any] | None = None) -> Any:
        seeds = [seed + i for i in range(self.num_envs)] if isinstance(seed, int) else seed
        seeds = [None] * self.num_envs if seeds is None else seeds
        results = self._pool.map(lambda env, one: env.reset(seed=one)[0], self.envs, seeds)
        self._env_obs = list(results)
        self._autoreset_envs = np.zeros(self.num_envs, np.bool_)
        return self._joined(), {}

    def step(self, actions: Any) -> Any:
        chosen = iterate(self.action_space, actions)
        todo = list(zip(self.envs, chosen, self._autoreset_envs.tolist(), strict=True))
        shares = [todo[i :: self.threads] for i in range(self.threads)]
        results: list[Any] = [None] * self.num_envs
        for i, share in enumerate(self._pool.map(_steps, shares)):
            results[i :: self.threads] = share
        self._env_obs = [one[0] for one in results]
        rewards = np.array([one[1] for one in results], np.float64)
        terminated, truncated = (np.array([one[i] for one in results], np.bool_) for i in (2, 3))
        self._autoreset_envs = terminated | truncated
        return self._joined(), rewards, terminated, truncated, {}

    def close_extras(self, **options: Any) -> None:
        self._pool.shutdown()  # if a step was interrupted, its threads still play
        with ThreadPoolExecutor(self.threads) as pool:
            list(pool.map(lambda env: env.close(), self.envs))

    def _joined(self) -> Any:
        self._observations = concatenate(
            self.single_observation_space, self._env_obs, self._observations
        )
        return each(np.copy, self._observations) if self.copy else self._observations


def _steps(
    share: Sequence[tuple[gym.Env[Any, Any], Any, bool]],
) -> list[tuple[Any, float, bool, bool]]:
    return [_step(*one) for one in share]


def _step(env: gym.Env[Any, Any], action: Any, starts: bool) -> tuple[Any, float, bool, bool]:
    if starts:
        return env.reset()[0], 0.0, False, False
    observation, reward, terminated, truncated, _ = env.step(action)
    return observation, float(reward), terminated, truncated
