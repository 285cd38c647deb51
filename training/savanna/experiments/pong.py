"""Pong with IMPALA, solved in minutes on two cores. Other Atari games begin from these settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from savanna.envs.atari import Atari
from savanna.experiments.base import Experiment, Machine

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def build_config(env: str, machine: Machine) -> AlgorithmConfig:
    from savanna.algorithms.impala import Impala

    return (
        Impala.get_default_config()
        .environment(env, env_config={"frame_size": 42, "frame_stack": 4, "episodic_life": False})
        .env_runners(
            num_env_runners=machine.env_runners,
            num_envs_per_env_runner=16,
            rollout_fragment_length=64,
            # With few CPUs the learner leaves some CPU time unused: let the emulator use it.
            num_env_threads=2 if machine.cpus <= 2 else 1,
            # On one machine the driver answers immediately; over a network, keep one in reserve.
            max_requests_in_flight_per_env_runner=1 if machine.cpus <= 2 else 2,
        )
        .learners(num_learners=0, num_gpus_per_learner=1 if machine.gpus else 0)
        .training(
            lr=[[0, 4e-4], [600_000, 2e-4]],  # over agent steps
            gamma=0.99,
            lambda_=0.99,  # rewards come long after the stroke that earned them
            train_batch_size_per_learner=1024,
            minibatch_size=128,
            num_epochs=4,
            clip_param=0.1,
            vf_loss_coeff=2.0,
            # Over agent steps: once it wins, it need not try anything else.
            entropy_coeff=[[0, 0.01], [150_000, 0.01], [350_000, 0.001]],
            grad_clip=1.0,
            adam_epsilon=1e-5,
            normalize_advantages=True,
        )
        .rl_module(model_config={"encoder": "medium", "standardize_frames": 100_000})
    )


PONG = Experiment(
    name="pong",
    summary="PongNoFrameskip-v4 with IMPALA, to a mean return of 18",
    algorithm="IMPALA",
    family=Atari,
    env="PongNoFrameskip-v4",
    build_config=build_config,
    stop={"return": 18, "seconds": 3600},
    checkpoint_frequency=20,
    random_return=-20.7,
)
