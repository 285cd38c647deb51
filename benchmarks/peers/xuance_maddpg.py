"""XuanCe's MADDPG with the settings XuanCe ships for simple_spread_v3, trained by its own loop."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pettingzoo.mpe import simple_spread_v3
from xuance.common import MultiAgentBaseCallback, get_arguments
from xuance.environment import make_envs
from xuance.torch.agents import MADDPG_Agents

from benchmarks.peers.clock import Clock


class Peer:
    """What `process` needs of a library."""

    worlds = "pettingzoo"

    def __init__(self, seed: int) -> None:
        config = get_arguments(algo="maddpg", env="mpe", env_id="simple_spread_v3")
        config.seed = config.env_seed = seed
        # Its logs and models go to folders below the working folder.
        self._config, self._clock = config, _Counted(config.parallels)
        envs = make_envs(config)
        self._agents = MADDPG_Agents(config=config, envs=envs, callback=self._clock)
        between = math.lcm(config.parallels, config.training_frequency)
        self.settings = (
            f"{config.parallels} worlds in one process, one update of {config.batch_size} every "
            f"{between} world steps, learning rates {config.learning_rate_actor:g} and "
            f"{config.learning_rate_critic:g}, gamma {config.gamma:g}, tau {config.tau:g}, noise "
            f"from {config.start_noise:g} to {config.end_noise:g} over {config.running_steps:,} "
            "world steps, one network for all agents"
        )

    def make_world(self) -> Any:
        return simple_spread_v3.parallel_env(continuous_actions=True)

    def act(self, observations: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Without noise, cut to the range of the world as XuanCe's own environment does."""
        count = len(next(iter(observations.values())))
        rows = [{name: seen[i] for name, seen in observations.items()} for i in range(count)]
        chosen = self._agents.get_actions(obs_dict=rows, test_mode=True)["actions"]
        return {n: np.clip(np.stack([row[n] for row in chosen]), 0.0, 1.0) for n in observations}

    def train(self, clock: Clock) -> None:
        self._clock.clock = clock
        clock.start()
        self._agents.train(self._config.running_steps // self._config.parallels)


class _Counted(MultiAgentBaseCallback):
    """Ticks the clock after every step of all worlds."""

    def __init__(self, parallels: int) -> None:
        super().__init__()
        self.clock: Clock | None = None
        self._parallels = parallels

    def on_train_step_end(self, *given: Any, **named: Any) -> None:
        if self.clock is not None:
            self.clock.tick(self._parallels)
