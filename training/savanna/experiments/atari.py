"""Any Atari game, given by `--env`, with Pong's settings and no target."""

from __future__ import annotations

from typing import TYPE_CHECKING

from savanna.envs.atari import Atari
from savanna.experiments import pong
from savanna.experiments.base import Experiment, Machine

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


def build_config(env: str, machine: Machine) -> AlgorithmConfig:
    # Other games have more to find out, and take longer.
    return pong.build_config(env, machine).training(entropy_coeff=0.01)


ATARI = Experiment(
    name="atari",
    summary="any Atari game, given by --env (for example BreakoutNoFrameskip-v4)",
    algorithm="IMPALA",
    family=Atari,
    env="BreakoutNoFrameskip-v4",
    build_config=build_config,
    stop={"agent_steps": 10_000_000},
    checkpoint_frequency=50,
)
