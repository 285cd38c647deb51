"""The experiments that `savanna train` knows by name."""

from __future__ import annotations

import difflib

from savanna.errors import UsageError
from savanna.experiments.atari import ATARI
from savanna.experiments.base import Experiment, Machine
from savanna.experiments.cartpole import CARTPOLE
from savanna.experiments.gym import GYM
from savanna.experiments.particle import PARTICLE, PARTICLE_IPPO, PARTICLE_PPO
from savanna.experiments.pong import PONG

EXPERIMENTS: dict[str, Experiment] = {
    e.name: e for e in (PONG, CARTPOLE, ATARI, GYM, PARTICLE, PARTICLE_PPO, PARTICLE_IPPO)
}

__all__ = ["EXPERIMENTS", "Experiment", "Machine", "get_experiment"]


def get_experiment(name: str | None) -> Experiment:
    """The experiment called `name`, or pong; `UsageError` with the nearest name if unknown."""
    name = PONG.name if name is None else name
    if name in EXPERIMENTS:
        return EXPERIMENTS[name]
    close = difflib.get_close_matches(name, EXPERIMENTS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"unknown experiment {name!r}.{hint} Known: {', '.join(EXPERIMENTS)}.")
