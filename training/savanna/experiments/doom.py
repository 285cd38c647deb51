"""Doom with IMPALA: a world in three dimensions, seen from within."""

from __future__ import annotations

from typing import TYPE_CHECKING

from savanna.envs.doom import ENV_CONFIG, Doom
from savanna.experiments.base import Experiment, Machine

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def build_config(env: str, machine: Machine) -> AlgorithmConfig:
    from savanna.algorithms.impala import GymImpala

    # An env runner has two CPUs where there are enough: its games are processes of their own.
    cpus = 2 if machine.runners_of(2) else 1
    return (
        GymImpala.get_default_config()
        .environment(env, env_config=dict(ENV_CONFIG))
        .env_runners(
            num_env_runners=max(1, machine.runners_of(cpus)),
            num_cpus_per_env_runner=cpus,
            num_envs_per_env_runner=16,
            rollout_fragment_length=64,
            max_requests_in_flight_per_env_runner=1 if machine.cpus <= 2 else 2,
        )
        .learners(num_learners=0, num_gpus_per_learner=1 if machine.gpus else 0)
        .training(
            lr=5e-4,
            gamma=0.99,
            lambda_=0.95,
            train_batch_size_per_learner=2048,
            minibatch_size=256,
            num_epochs=2,
            clip_param=0.2,
            vf_loss_coeff=0.5,
            entropy_coeff=0.01,
            grad_clip=0.5,
            adam_epsilon=1e-5,
            normalize_advantages=True,
        )
        .rl_module(model_config={"fcnet_hiddens": [], "picture_units": 256})
    )


DOOM = Experiment(
    name="doom",
    summary="a Doom scenario (default basic) with IMPALA",
    algorithm="IMPALA",
    family=Doom,
    env="basic",
    build_config=build_config,
    stop={"agent_steps": 10_000_000, "seconds": 3600},
    checkpoint_frequency=20,
)
