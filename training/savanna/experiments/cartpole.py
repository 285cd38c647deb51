"""CartPole with PPO: the single-machine sample, one minute on a laptop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from savanna.envs.gymnasium_env import Gymnasium
from savanna.experiments.base import Experiment, Machine
from savanna.experiments.rllib import with_rllibs

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def build_config(env: str, machine: Machine) -> AlgorithmConfig:
    from savanna.algorithms.ppo import PPOConfig
    from savanna.envs.gymnasium_env import register

    return (
        PPOConfig()
        .environment(register(env))
        .env_runners(num_env_runners=min(machine.env_runners, 4), num_envs_per_env_runner=8)
        .learners(num_learners=0, num_gpus_per_learner=0)
        .training(
            lr=1e-3,
            gamma=0.99,
            lambda_=0.95,
            train_batch_size_per_learner=2048,
            minibatch_size=256,
            num_epochs=8,
            vf_clip_param=10_000.0,
            entropy_coeff=0.01,
            grad_clip=0.5,
        )
        .rl_module(model_config={"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh"})
    )


CARTPOLE = with_rllibs(
    Experiment(
        name="cartpole",
        summary="CartPole-v1 with PPO, one minute on a laptop",
        algorithm="PPO",
        family=Gymnasium,
        env="CartPole-v1",
        build_config=build_config,
        stop={"return": 200, "seconds": 300},
        checkpoint_frequency=5,
        random_return=22.0,
    )
)
