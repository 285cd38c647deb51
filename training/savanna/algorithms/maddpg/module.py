"""The networks: one RLModule per agent (or team), together a MultiRLModule."""

from __future__ import annotations

import copy
from typing import Any, cast

import gymnasium as gym
import torch
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.apis import InferenceOnlyAPI
from ray.rllib.core.rl_module.multi_rl_module import MultiRLModule
from ray.rllib.core.rl_module.torch import TorchRLModule
from torch import nn

from savanna.algorithms.maddpg.stack import mlp


class MADDPGAgent(TorchRLModule, InferenceOnlyAPI):
    """A decentralised actor; for learning, also its critics and the target networks of all.

    `average_actor`, the mean of the actor over its last updates, is what is evaluated, filmed and
    exported; env runners explore with `actor` itself.

    `model_config`: `actor_hiddens`, `critic_hiddens` (units of the hidden layers), `critic_width`
    (inputs of the critic, all observations and actions) and `critics` (2: the smaller estimate
    counts, as in TD3).
    """

    def setup(self) -> None:
        settings = self.model_config
        self.continuous = isinstance(self.action_space, gym.spaces.Box)
        width = self.action_space.shape[0] if self.continuous else self.action_space.n
        self.actor = mlp(
            self.observation_space.shape[0], settings["actor_hiddens"], int(width), last_scale=0.1
        )
        self.average_actor = copy.deepcopy(self.actor).requires_grad_(False)
        if self.continuous:
            low = torch.as_tensor(self.action_space.low, dtype=torch.float32)
            high = torch.as_tensor(self.action_space.high, dtype=torch.float32)
            self.register_buffer("low", low)
            self.register_buffer("high", high)
        if self.inference_only:
            return
        self.critics = nn.ModuleList(
            mlp(settings["critic_width"], settings["critic_hiddens"], 1)
            for _ in range(settings["critics"])
        )
        self.target_actor = copy.deepcopy(self.actor).requires_grad_(False)
        self.target_critics = copy.deepcopy(self.critics).requires_grad_(False)

    def critic(self, twin: int) -> nn.Sequential:
        """The first or the second of the twins."""
        return cast("nn.Sequential", self.critics[twin])

    def target_critic(self, twin: int) -> nn.Sequential:
        return cast("nn.Sequential", self.target_critics[twin])

    def get_non_inference_attributes(self) -> list[str]:
        return ["critics", "target_actor", "target_critics"]

    def set_state(self, state: dict[str, Any]) -> None:
        """Like RLlib's, which skips what `state` lacks; a missing average actor is the actor."""
        means = {f"average_{name}": v for name, v in state.items() if name.startswith("actor.")}
        super().set_state(means | state)

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        """Observations `[B, size]` -> logits `[B, choices]`, or the continuous action itself."""
        return self._act(self.average_actor, batch)

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return self._act(self.actor, batch)

    def _act(self, actor: nn.Sequential, batch: dict[str, Any]) -> dict[str, Any]:
        outputs = actor(batch[Columns.OBS])
        if self.continuous:
            outputs = squash(outputs, self.low, self.high)
        return {Columns.ACTION_DIST_INPUTS: outputs}


class MADDPGModule(MultiRLModule):
    """All agents' networks. A module serves one agent, or several with parameter sharing."""


def squash(outputs: torch.Tensor, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Any number -> between `low` and `high`, by tanh."""
    return low + (high - low) * (outputs.tanh() + 1) / 2
