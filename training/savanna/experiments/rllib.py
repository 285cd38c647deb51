"""RLlib's own algorithms on any Gymnasium environment, with RLlib's settings except for numbers of
processes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from savanna.experiments.base import Experiment, Machine
from savanna.experiments.gym_impala import build_impala

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def with_rllibs(experiment: Experiment) -> Experiment:
    """`experiment`, which has RLlib's algorithms too, and our IMPALA."""
    others = {
        "dqn": replace(experiment, algorithm="DQN", build_config=build_dqn, actions=("Discrete",)),
        "sac": replace(
            experiment, algorithm="SAC", build_config=build_sac, actions=("Discrete", "Box")
        ),
        "appo": replace(
            experiment,
            algorithm="APPO",
            build_config=build_appo,
            actions=("Discrete", "MultiDiscrete", "Box"),
        ),
        "impala": replace(experiment, algorithm="IMPALA", build_config=build_impala),
    }
    return replace(experiment, others=others)


def build_dqn(env: str, machine: Machine) -> AlgorithmConfig:
    from ray.rllib.algorithms.dqn import DQNConfig

    config = DQNConfig().training(lr=1e-3, train_batch_size_per_learner=256)
    return _on(env, machine, config, fragment=4)


def build_sac(env: str, machine: Machine) -> AlgorithmConfig:
    from ray.rllib.algorithms.sac import SACConfig

    config = SACConfig().training(actor_lr=1e-3, critic_lr=1e-3, alpha_lr=1e-3)
    return _on(env, machine, config, fragment=1)


def build_appo(env: str, machine: Machine) -> AlgorithmConfig:
    from ray.rllib.algorithms.appo import APPOConfig

    config = APPOConfig()
    config.min_time_s_per_iteration = None
    return _on(env, machine, config, fragment=50)


def _on(env: str, machine: Machine, config: Any, *, fragment: int) -> AlgorithmConfig:
    """`config` with our numbers of processes, environments and steps between updates."""
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    made: AlgorithmConfig = (
        config.environment(env)
        .rl_module(model_config=DefaultModelConfig())
        .env_runners(num_env_runners=1, num_envs_per_env_runner=8, rollout_fragment_length=fragment)
        # One process learns and drives, as with our algorithms.
        .learners(num_learners=0, num_gpus_per_learner=1 if machine.gpus else 0)
        .reporting(min_sample_timesteps_per_iteration=2000)
    )
    return made
