"""AgileRL's MADDPG, trained by AgileRL's own loop.

The settings are those of the configuration that AgileRL ships for MADDPG on particle worlds
(configs/training/multi_agent/maddpg.yaml), one agent set without evolution.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import torch
from agilerl.algorithms import MADDPG
from agilerl.components.replay_buffer import ReplayBuffer
from agilerl.training.train_multi_agent_off_policy import train_multi_agent_off_policy
from agilerl.utils.utils import make_multi_agent_vect_envs
from mpe2 import simple_spread_v3
from numpy.typing import NDArray

from benchmarks.peers.clock import Clock

NUM_ENVS, EVO_STEPS, MEMORY_SIZE = 16, 10_000, 100_000
ALGORITHM: dict[str, Any] = {
    "O_U_noise": True,
    "expl_noise": 0.1,
    "mean_noise": 0.0,
    "theta": 0.15,
    "dt": 0.01,
    "batch_size": 64,
    "lr_actor": 1e-4,
    "lr_critic": 1e-3,
    "gamma": 0.95,
    "learn_step": 16,
    "tau": 1e-3,
    "net_config": {
        "latent_dim": 64,
        "encoder_config": {"hidden_size": [64], "min_mlp_nodes": 64, "max_mlp_nodes": 500},
        "head_config": {"hidden_size": [64, 64], "activation": "ReLU"},
    },
}


class Peer:
    """What `process` needs of a library."""

    worlds = "mpe2"
    settings = (
        f"{NUM_ENVS} worlds in separate processes, for each agent one update of "
        f"{ALGORITHM['batch_size']} every {ALGORITHM['learn_step']} world steps, learning rates "
        f"{ALGORITHM['lr_actor']:g} and {ALGORITHM['lr_critic']:g}, gamma {ALGORITHM['gamma']:g}, "
        f"tau {ALGORITHM['tau']:g}, "
        "Ornstein-Uhlenbeck noise, one network for all agents, one set of agents, no evolution"
    )

    def __init__(self, seed: int) -> None:
        for seeded in (random.seed, np.random.seed, torch.manual_seed):
            seeded(seed)
        self._envs = make_multi_agent_vect_envs(
            simple_spread_v3.parallel_env, NUM_ENVS, max_cycles=25, continuous_actions=True
        )
        names = self._envs.agents
        self._agent = MADDPG(
            observation_spaces=[self._envs.single_observation_space(name) for name in names],
            action_spaces=[self._envs.single_action_space(name) for name in names],
            agent_ids=list(names),
            vect_noise_dim=NUM_ENVS,
            **ALGORITHM,
        )

    def make_world(self) -> Any:
        return simple_spread_v3.parallel_env(max_cycles=25, continuous_actions=True)

    def act(self, observations: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Without noise."""
        training = self._agent.training
        self._agent.set_training_mode(False)
        actions, _ = self._agent.get_action(obs=observations)
        self._agent.set_training_mode(training)
        return dict(actions)

    def train(self, clock: Clock) -> None:
        envs = self._envs
        step = envs.step

        def counted(actions: dict[str, NDArray[Any]]) -> Any:
            # AgileRL also tests its agents in these worlds; those steps do not train.
            found = step(actions)
            clock.tick(NUM_ENVS if self._agent.training else 0)
            return found

        envs.step = counted
        clock.start()
        train_multi_agent_off_policy(
            envs,
            "simple_spread_v3",
            "MADDPG",
            [self._agent],
            memory=ReplayBuffer(MEMORY_SIZE),
            max_steps=10**12,
            evo_steps=EVO_STEPS,
            verbose=False,
        )
