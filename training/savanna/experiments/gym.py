"""Any Gymnasium environment, given by `--env`, with PPO or an algorithm of RLlib's; also the user's
own."""

from __future__ import annotations

from savanna.experiments.base import Experiment
from savanna.experiments.cartpole import build_config
from savanna.experiments.rllib import with_rllibs

GYM = with_rllibs(
    Experiment(
        name="gym",
        summary="PPO on any Gymnasium environment or your own: --env Acrobot-v1 or my_file:MyEnv",
        algorithm="PPO",
        env="",  # must be given
        build_config=build_config,
        stop={"agent_steps": 1_000_000, "seconds": 3600},
        checkpoint_frequency=10,
    )
)
