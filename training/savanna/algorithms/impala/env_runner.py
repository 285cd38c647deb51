"""Atari's env runner: one tight loop over ale-py's native vector environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns

from savanna.algorithms.impala.fragment import Fragment
from savanna.algorithms.impala.fragment_env_runner import FragmentEnvRunner
from savanna.algorithms.sampling import refuse_not_finite
from savanna.envs.atari import game_goes_on, make_atari_vector_env


class AtariEnvRunner(FragmentEnvRunner):
    """`sample()` returns one `Fragment`."""

    def make_envs(self) -> Any:
        settings = self.config.env_config
        return make_atari_vector_env(
            self.config.env,
            self.config.num_envs_per_env_runner,
            frame_size=settings["frame_size"],
            frame_stack=settings["frame_stack"],
            episodic_life=settings.get("episodic_life", False),
            num_threads=self.config.num_env_threads,
        )

    def _start(self) -> None:
        steps = self.config.get_rollout_fragment_length()
        stack, height, width = self.env.single_observation_space.shape
        # The next observation is copied twice: into the stack to act on, and into the history.
        self._frames = np.zeros((stack + steps, self.num_envs, height, width), np.uint8)
        self._ages = np.zeros((steps + 1, self.num_envs), np.uint8)
        self._observations, info = self.env.reset(seed=self.env_seeds())
        lives_end = self.config.env_config.get("episodic_life", False)
        self._lives = info["lives"].copy() if lives_end else None
        self._frames[-1] = self._observations[:, -1]
        self._begin_counting()
        seed = None if self.config.seed is None else [self.config.seed, self.worker_index or 0, 1]
        self._random = np.random.default_rng(seed)
        self._needs_initial_reset = False

    def _sample(self, *, num_timesteps: int | None = None, **kwargs: Any) -> list[Fragment]:
        """One fragment of `rollout_fragment_length` steps of every environment.

        `num_timesteps` is RLlib's, and always the length of a fragment; other keyword arguments
        (sampling whole episodes, random actions) are for RLlib's evaluation, which we replace.
        """
        if self._needs_initial_reset:
            self._start()
        steps, envs = len(self._ages) - 1, self.num_envs
        frames, ages = self._frames, self._ages
        history = len(frames) - steps
        frames[:history] = frames[-history:]
        ages[0] = ages[-1]
        actions = np.empty((steps, envs), np.int64)
        log_probs = np.empty((steps, envs), np.float32)
        rewards = np.empty((steps, envs), np.float32)
        terminated = np.empty((steps, envs), bool)
        truncated = np.empty((steps, envs), bool)
        valid = np.empty((steps, envs), bool)

        for step in range(steps):
            actions[step], log_probs[step] = self._act(self._observations)
            self._observations, rewards[step], terminated[step], truncated[step], info = (
                self.env.step(actions[step])
            )
            frames[history + step] = self._observations[:, -1]
            valid[step] = ~self._done
            # The observation after a resetting row is the first of its episode.
            ages[step + 1] = np.where(self._done, 0, np.minimum(ages[step] + 1, history - 1))
            over = terminated[step]
            if self._lives is not None:  # a lost life ends an episode for learning, not the game
                over = over & ~game_goes_on(over, info["lives"], self._lives)
                self._lives = info["lives"].copy()
            self._done = over | truncated[step]
            self._count(rewards[step], valid[step])

        refuse_not_finite(self.config.env, "a reward", rewards)
        fragment = Fragment(
            frames=frames.copy(),
            ages=ages.copy(),
            actions=actions,
            log_probs=log_probs,
            rewards=rewards,
            terminated=terminated,
            truncated=truncated,
            valid=valid,
            weights_version=self._weights_seq_no,
            episodes=self.take_finished(),
            node=self._node,
        )
        self.num_env_steps_sampled_lifetime += len(fragment)
        return [fragment]

    def _act(self, observations: NDArray[np.uint8]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Sampled actions and their log-probabilities, `[N]` each (the Gumbel-max trick)."""
        with torch.inference_mode():
            output = self.module._forward({Columns.OBS: torch.from_numpy(observations)})
        logits = output[Columns.ACTION_DIST_INPUTS].numpy()
        noise = -np.log(self._random.exponential(size=logits.shape))
        action = np.argmax(logits + noise, axis=1)
        shifted = logits - logits.max(axis=1, keepdims=True)
        log_sum = np.log(np.exp(shifted).sum(axis=1))
        return action, shifted[np.arange(len(action)), action] - log_sum
