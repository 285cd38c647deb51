"""RLlib's PPO on particle worlds, for comparison with MADDPG."""

from __future__ import annotations

from functools import partial
from typing import Any, Self

from ray.rllib.algorithms.algorithm_config import NotProvided
from ray.tune.registry import register_env

from savanna.algorithms.ppo import PPOConfig
from savanna.algorithms.ppo_env_runner import ManyAgentsEnvRunner
from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.world import module_names
from savanna.envs.rllib_world import RLlibWorld
from savanna.errors import UsageError


class ParticlePPOConfig(PPOConfig):
    """PPO with one network for all agents of a kind (`share_parameters`), or one per agent."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class)
        self.env_runner_cls = ManyAgentsEnvRunner
        self.share_parameters = True
        self.normalize_actions = True  # RLlib's network gives them in -1..1

    def training(self, *, share_parameters: bool = NotProvided, **kwargs: Any) -> Self:
        super().training(**kwargs)
        if share_parameters is not NotProvided:
            self.share_parameters = share_parameters
        return self

    def validate(self) -> None:
        """The agents follow from the world and its options, which may have been set last."""
        if not self._is_frozen:
            agents = make_worlds(self.env, 1, **self.env_config).agents
            names = module_names(agents, shared=self.share_parameters)
            modules = {agent.name: name for agent, name in zip(agents, names, strict=True)}
            register_env(self.env, partial(RLlibWorld, self.env))
            self.multi_agent(
                policies=set(names),
                policy_mapping_fn=lambda agent, episode, **kwargs: modules[agent],
            )
        if not self.normalize_actions:
            raise UsageError("normalize_actions must be true: evaluation and export rely on it.")
        super().validate()
