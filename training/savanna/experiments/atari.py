"""Any Atari game, given by `--env`, with Pong's settings and no target."""

from __future__ import annotations

from savanna.envs.atari import Atari
from savanna.experiments.base import Experiment
from savanna.experiments.pong import build_config

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
