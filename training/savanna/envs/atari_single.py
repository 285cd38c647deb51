"""One Atari game as a plain Gymnasium environment: what `savanna check-env` plays."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv
from numpy.typing import NDArray

Frames = NDArray[np.uint8]  # [frame_stack, frame_size, frame_size]


class SingleAtari(gym.Env[Frames, np.int64]):
    """The emulator that training uses, with one game in it."""

    def __init__(self, envs: VectorEnv[Any, Any, Any]) -> None:
        self._envs = envs
        self.observation_space = envs.single_observation_space
        self.action_space = envs.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frames, dict[str, Any]]:
        super().reset(seed=seed)
        observations, _ = self._envs.reset(seed=seed)
        return observations[0].copy(), {}

    def step(self, action: np.int64) -> tuple[Frames, float, bool, bool, dict[str, Any]]:
        seen, reward, terminated, truncated, _ = self._envs.step(np.asarray([action]))
        return seen[0].copy(), float(reward[0]), bool(terminated[0]), bool(truncated[0]), {}

    def close(self) -> None:
        self._envs.close()
