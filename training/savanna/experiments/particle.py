"""Particle worlds with MADDPG, and with RLlib's PPO for comparison."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from savanna.envs.particle.family import Particle
from savanna.experiments.base import Experiment, Machine

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

OLD_TARGET = -400.0
"""Mean return in simple_spread at which the retired service's sample stopped, on its scale."""

TARGET = (OLD_TARGET + 225) / 6
"""The same on mpe2's scale (see `savanna.envs.particle.world.old_scale`)."""


def build_config(env: str, machine: Machine) -> AlgorithmConfig:
    from savanna.algorithms.maddpg import MADDPG
    from savanna.envs.particle.family import ENV_CONFIG

    return (
        MADDPG.get_default_config()
        # Forces, as in the paper; a setting switches to discrete actions.
        .environment(env, env_config=ENV_CONFIG | {"continuous": True})
        .env_runners(
            num_env_runners=machine.env_runners,
            num_envs_per_env_runner=64,
            rollout_fragment_length=25,
            exploration_noise=0.2,
        )
        .learners(num_learners=0, num_gpus_per_learner=1 if machine.gpus else 0)
        .training(
            # (world step, learning rate)
            lr=[[0, 1e-3], [600_000, 1e-3], [1_500_000, 4e-4], [4_000_000, 2e-4]],
            share_parameters=True,
            num_critics=2,
            policy_delay=2,
            logit_penalty=0.01,  # see docs/decisions/maddpg.md
            train_batch_size_per_learner=512,
            world_steps_per_update=128,
        )
        # Smaller critics mislead actors, and the more the longer they learn.
        .rl_module(model_config={"actor_hiddens": [256, 256, 256], "critic_hiddens": [256, 256]})
    )


def build_shared_ppo(env: str, machine: Machine) -> AlgorithmConfig:
    return _build_ppo(env, machine, shared=True)


def build_independent_ppo(env: str, machine: Machine) -> AlgorithmConfig:
    return _build_ppo(env, machine, shared=False)


def _build_ppo(env: str, machine: Machine, *, shared: bool) -> AlgorithmConfig:
    from ray.rllib.core.rl_module.default_model_config import DefaultModelConfig

    from savanna.algorithms.particle_ppo import ParticlePPOConfig
    from savanna.envs.particle.family import ENV_CONFIG

    return (
        ParticlePPOConfig()
        .environment(env, env_config=dict(ENV_CONFIG))
        .env_runners(num_env_runners=min(machine.env_runners, 4), num_envs_per_env_runner=8)
        .learners(num_learners=0, num_gpus_per_learner=0)
        .training(
            share_parameters=shared,
            lr=7e-4,
            gamma=0.99,
            lambda_=0.95,
            train_batch_size_per_learner=4000,
            minibatch_size=1000,
            num_epochs=8,
            vf_clip_param=10_000.0,
            entropy_coeff=0.01,
            grad_clip=0.5,
        )
        .rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[64, 64], vf_share_layers=False))
    )


_MADDPG = Experiment(
    name="particle",
    summary="a particle world (default simple_spread) with MADDPG",
    algorithm="MADDPG",
    family=Particle,
    env="simple_spread",
    build_config=build_config,
    stop={"return": TARGET, "seconds": 7200},
    checkpoint_frequency=50,
    film_every=200,
)

PARTICLE_PPO = replace(
    _MADDPG,
    name="particle-ppo",
    summary="the same with RLlib's PPO, one network per kind of agent",
    algorithm="PPO",
    build_config=build_shared_ppo,
    checkpoint_frequency=10,
)

PARTICLE_IPPO = replace(
    PARTICLE_PPO,
    name="particle-ippo",
    summary="the same with RLlib's PPO, one network per agent",
    build_config=build_independent_ppo,
)

PARTICLE = replace(_MADDPG, others={"ppo": PARTICLE_PPO, "ippo": PARTICLE_IPPO})
