"""Any Gymnasium environment, given by `--env`, with PPO; also the user's own."""

from __future__ import annotations

from savanna.envs.gymnasium_env import Gymnasium
from savanna.experiments.base import Experiment
from savanna.experiments.cartpole import build_config

GYM = Experiment(
    name="gym",
    summary="PPO on any Gymnasium environment or your own: --env Acrobot-v1 or my_file:MyEnv",
    algorithm="PPO",
    family=Gymnasium,
    env="",  # must be given
    build_config=build_config,
    stop={"agent_steps": 1_000_000, "seconds": 3600},
    checkpoint_frequency=10,
)
