"""IMPALA on any Gymnasium environment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from savanna.experiments.base import Machine

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def build_impala(env: str, machine: Machine) -> AlgorithmConfig:
    from savanna.algorithms.impala import GymImpala
    from savanna.envs.gymnasium_env import register

    return (
        GymImpala.get_default_config()
        .environment(register(env))
        .env_runners(
            num_env_runners=machine.env_runners,
            num_envs_per_env_runner=16,
            rollout_fragment_length=64,
            max_requests_in_flight_per_env_runner=1 if machine.cpus <= 2 else 2,
        )
        .learners(num_learners=0, num_gpus_per_learner=1 if machine.gpus else 0)
        .training(
            lr=1e-3,
            gamma=0.99,
            lambda_=0.95,
            train_batch_size_per_learner=1024,
            minibatch_size=256,
            num_epochs=4,
            clip_param=0.2,
            vf_loss_coeff=0.5,
            entropy_coeff=0.01,
            grad_clip=0.5,
            adam_epsilon=1e-5,
            normalize_advantages=True,
        )
        .rl_module(model_config={"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh"})
    )
