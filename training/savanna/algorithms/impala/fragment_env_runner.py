"""What the env runners of IMPALA share."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np
import ray.util
import torch
from numpy.typing import NDArray
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from savanna.algorithms.episode import Episode
from savanna.algorithms.quick_setup import quick_setup


class FragmentEnvRunner(SingleAgentEnvRunner):
    """RLlib's single-agent env runner, but `sample()` returns one fragment.

    Episodes continue from one fragment to the next. RLlib's episodes and connectors are not used:
    per agent step, they cost as much as the network.
    """

    env: Any

    def __init__(self, **options: Any) -> None:
        quick_setup()
        super().__init__(**options)

    @abstractmethod
    def make_envs(self) -> Any:
        """`num_envs_per_env_runner` environments, as a vector environment."""

    def make_env(self) -> None:
        """Create the environments; they are reset on the first `sample()`."""
        if self.env is not None:
            self.env.close()
        self.env = self.make_envs()
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

    def _begin_counting(self) -> None:
        self._done = np.zeros(self.num_envs, bool)
        self._returns = np.zeros(self.num_envs, np.float64)
        self._lengths = np.zeros(self.num_envs, np.int64)

    def _count(self, rewards: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        """Add one step; `_done` says which episodes it ended."""
        self._returns += rewards
        self._lengths += valid
        for index in np.flatnonzero(self._done):
            self._finished.append(Episode(float(self._returns[index]), int(self._lengths[index])))
            self._returns[index] = 0.0
            self._lengths[index] = 0

    def take_finished(self) -> list[Episode]:
        """The episodes that have ended since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def sample_fragment(self) -> Any:
        """What `sample()` returns, without RLlib's metrics: the driver keeps exact ones."""
        return self._sample()[0]
