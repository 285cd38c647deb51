"""One Atari game as a plain Gymnasium environment: what `savanna check-env` plays."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from savanna.envs.atari import make_atari_vector_env

Frames = NDArray[np.uint8]  # [frame_stack, frame_size, frame_size]


class SingleAtari(gym.Env[Frames, np.int64]):
    """The emulator that training uses, with one game in it."""

    def __init__(
        self, env: str, *, frame_size: int = 42, frame_stack: int = 4, episodic_life: bool = False
    ) -> None:
        self._envs = make_atari_vector_env(
            env, 1, frame_size=frame_size, frame_stack=frame_stack, episodic_life=episodic_life
        )
        self.observation_space = self._envs.single_observation_space
        self.action_space = self._envs.single_action_space

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Frames, dict[str, Any]]:
        super().reset(seed=seed)
        observations, _ = self._envs.reset(seed=seed)
        return observations[0].copy(), {}

    def step(self, action: np.int64) -> tuple[Frames, float, bool, bool, dict[str, Any]]:
        observations, rewards, terminated, truncated, _ = self._envs.step(np.asarray([action]))
        return (
            observations[0].copy(),
            float(rewards[0]),
            bool(terminated[0]),
            bool(truncated[0]),
            {},
        )

    def close(self) -> None:
        self._envs.close()
