"""The experiments that `savanna train` knows by name."""

from __future__ import annotations

import difflib
from pathlib import Path

from savanna.errors import UsageError
from savanna.experiments.atari import ATARI
from savanna.experiments.base import Experiment, Machine
from savanna.experiments.cartpole import CARTPOLE
from savanna.experiments.doom import DOOM
from savanna.experiments.gym import GYM
from savanna.experiments.own import find_own, is_own
from savanna.experiments.particle import PARTICLE, PARTICLE_IPPO, PARTICLE_PPO
from savanna.experiments.pong import PONG

EXPERIMENTS: dict[str, Experiment] = {
    e.name: e for e in (PONG, CARTPOLE, ATARI, GYM, DOOM, PARTICLE, PARTICLE_PPO, PARTICLE_IPPO)
}

__all__ = ["EXPERIMENTS", "Experiment", "Machine", "get_experiment", "is_own"]


def get_experiment(name: str | None, algorithm: str | None = None) -> Experiment:
    """The experiment called `name`, or pong, with this algorithm or its own; or the user's own, as
    `my_file.py` or `module:NAME`. `UsageError` with the nearest name if unknown."""
    name = PONG.name if name is None else name
    if is_own(name):
        return find_own(name, EXPERIMENTS).with_algorithm(algorithm)
    if name in EXPERIMENTS:
        return EXPERIMENTS[name].with_algorithm(algorithm)
    close = [f"{name}.py"] if Path(f"{name}.py").is_file() else []
    close += difflib.get_close_matches(name, EXPERIMENTS, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(
        f"unknown experiment {name!r}.{hint} Known: {', '.join(EXPERIMENTS)}; or your own, as "
        "my_file.py or module:NAME."
    )
