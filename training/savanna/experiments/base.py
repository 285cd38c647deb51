"""What an experiment is: a small, named file that builds an RLlib config for a machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from savanna.envs.environment import Environment

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


@dataclass(frozen=True)
class Machine:
    """What the Ray cluster offers, head and workers together."""

    cpus: int
    gpus: int

    @property
    def env_runners(self) -> int:
        """All CPUs but one, which the learner gets: 6 + 4 x 2 - 1 = 13, 2 - 1 = 1."""
        return max(1, self.cpus - 1)


@dataclass(frozen=True)
class Experiment:
    """One experiment. Build its config with `build_config(env, machine)`.

    `build_config` imports RLlib only when called, so that listing experiments is cheap.
    """

    name: str
    summary: str  # one line, for --help
    algorithm: str  # "IMPALA", "PPO" or "MADDPG"
    family: type[Environment]  # of the environments it trains on
    env: str  # a Gymnasium id or a particle world; empty: --env must be given
    build_config: Callable[[str, Machine], AlgorithmConfig]
    stop: Mapping[str, float]  # default stop rules, keys of savanna.metrics.STOP_RULES
    checkpoint_frequency: int = 0  # iterations; 0: only at the end
    random_return: float | None = None  # mean return of random play, for the report
    film_every: int = 0  # episodes per world between two films during training; 0: none
    default_seed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
