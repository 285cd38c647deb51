"""The env runner: one tight loop over ale-py's native vector environment."""

from __future__ import annotations

from typing import Any

import numpy as np
import ray.util
import torch
from numpy.typing import NDArray
from ray.rllib.core.columns import Columns
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from savanna.algorithms.episode import Episode
from savanna.algorithms.impala.fragment import Fragment
from savanna.algorithms.quick_setup import quick_setup
from savanna.algorithms.sampling import refuse_not_finite
from savanna.envs.atari import make_atari_vector_env


class AtariEnvRunner(SingleAgentEnvRunner):
    """RLlib's single-agent env runner, with `sample()` returning one `Fragment`.

    Episodes continue from one fragment to the next. RLlib's episodes and connectors are not used:
    per agent step, they cost as much as the network.
    """

    env: Any

    def __init__(self, **options: Any) -> None:
        quick_setup()
        super().__init__(**options)

    def make_env(self) -> None:
        """Create `num_envs_per_env_runner` games; they are reset on the first `sample()`."""
        if self.env is not None:
            self.env.close()
        settings = self.config.env_config
        self.env = make_atari_vector_env(
            self.config.env,
            self.config.num_envs_per_env_runner,
            frame_size=settings["frame_size"],
            frame_stack=settings["frame_stack"],
            episodic_life=settings.get("episodic_life", False),
            num_threads=self.config.num_env_threads,
        )
        self.num_envs = self.env.num_envs
        self._needs_initial_reset = True
        self._finished: list[Episode] = []
        self._node = ray.util.get_node_ip_address()

    def make_module(self) -> None:
        torch.set_num_threads(max(1, int(self.config.num_cpus_per_env_runner)))
        super().make_module()

    def env_seeds(self) -> NDArray[np.int32] | None:
        """One seed for each environment, none shared with another env runner's."""
        if self.config.seed is None:
            return None
        sequence = np.random.SeedSequence([self.config.seed, self.worker_index or 0])
        seeds = sequence.generate_state(self.num_envs) % (2**31 - 1)
        return seeds.astype(np.int32)

    def _start(self) -> None:
        steps = self.config.get_rollout_fragment_length()
        stack, height, width = self.env.single_observation_space.shape
        # The next observation is copied twice: into the stack to act on, and into the history.
        self._frames = np.zeros((stack + steps, self.num_envs, height, width), np.uint8)
        self._ages = np.zeros((steps + 1, self.num_envs), np.uint8)
        self._observations, _ = self.env.reset(seed=self.env_seeds())
        self._frames[-1] = self._observations[:, -1]
        self._done = np.zeros(self.num_envs, bool)
        self._returns = np.zeros(self.num_envs, np.float64)
        self._lengths = np.zeros(self.num_envs, np.int64)
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
            self._observations, rewards[step], terminated[step], truncated[step], _ = self.env.step(
                actions[step]
            )
            frames[history + step] = self._observations[:, -1]
            valid[step] = ~self._done
            # The observation after a resetting row is the first of its episode.
            ages[step + 1] = np.where(self._done, 0, np.minimum(ages[step] + 1, history - 1))
            self._done = terminated[step] | truncated[step]
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
            episodes=self._finished,
            node=self._node,
        )
        self._finished = []
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

    def _count(self, rewards: NDArray[np.float32], valid: NDArray[np.bool_]) -> None:
        self._returns += rewards
        self._lengths += valid
        for index in np.flatnonzero(self._done):
            self._finished.append(Episode(float(self._returns[index]), int(self._lengths[index])))
            self._returns[index] = 0.0
            self._lengths[index] = 0

    def sample_fragment(self) -> Fragment:
        """What `sample()` returns, without RLlib's metrics: the driver keeps exact ones."""
        return self._sample()[0]
