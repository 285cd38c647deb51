"""What an experiment is: a small, named file that builds an RLlib config for a machine."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from savanna.envs.environment import Environment
from savanna.envs.gymnasium_env import Gymnasium, register
from savanna.envs.host import told
from savanna.errors import UsageError

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig


@dataclass(frozen=True)
class Machine:
    """What the Ray cluster offers, head and workers together."""

    cpus: int
    gpus: int
    nodes: tuple[int, ...] = ()  # the CPUs of each node, where there are several

    def runners_of(self, cpus: int) -> int:
        """How many env runners with so many CPUs fit, whichever node the learner is on."""
        room = [node // cpus for node in self.nodes or (self.cpus,)]
        least = [(node - 1) // cpus for node in self.nodes or (self.cpus,)]
        return sum(room) - max(a - b for a, b in zip(room, least, strict=True))

    @property
    def env_runners(self) -> int:
        """All CPUs but one, which the learner gets: 6 + 4 x 2 - 1 = 13, 2 - 1 = 1."""
        return max(1, self.cpus - 1)


@dataclass(frozen=True)
class Experiment:
    """One experiment. Build its config with `config(env, machine)`.

    `build_config` imports RLlib only when called, so that listing experiments is cheap.
    """

    name: str
    summary: str  # one line, for --help
    algorithm: str  # for reports, such as "IMPALA", "PPO" or "MADDPG"
    env: str  # a Gymnasium id or a particle world; empty: --env must be given
    build_config: Callable[[str, Machine], AlgorithmConfig]
    family: type[Environment] = Gymnasium  # of the environments it trains on
    stop: Mapping[str, float] = field(default_factory=dict)
    """Default stop rules, keys of savanna.metrics.STOP_RULES."""
    checkpoint_frequency: int = 0  # iterations; 0: only at the end
    random_return: float | None = None  # mean return of random play, for the report
    film_every: int = 0  # episodes per world between two films during training; 0: none
    default_seed: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    actions: tuple[str, ...] = ()  # the spaces that the algorithm can act in; empty: all
    others: Mapping[str, Experiment] = field(default_factory=dict)
    """The same with other algorithms, by the names that `--algorithm` takes."""
    source: str = ""
    """Of the user's own: `module:NAME`, from which every process can import it."""

    def config(self, env: str, machine: Machine) -> AlgorithmConfig:
        """The config that trains on `env`; RLlib's own algorithms are watched as ours are."""
        from savanna.algorithms.watched import watched

        config: AlgorithmConfig = watched(self._built(env, machine))
        if self.family is Gymnasium and config.env == env:
            register(env)
        return config

    def _built(self, env: str, machine: Machine) -> AlgorithmConfig:
        if not self.source:
            return self.build_config(env, machine)
        from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

        try:
            config = self.build_config(env, machine)
        except Exception as error:  # whatever the user's code raises
            raise UsageError(f"{self.source}: build_config failed: {told(error)}") from error
        if not isinstance(config, AlgorithmConfig):
            raise UsageError(
                f"{self.source}: build_config returned a {type(config).__name__}, not a config of "
                "RLlib's or ours."
            )
        return config if config.env is not None else config.environment(env)

    def with_algorithm(self, name: str | None) -> Experiment:
        """The same with another algorithm; `UsageError` with those it has."""
        if name is None or name.lower() == self.algorithm.lower():
            return self
        if name.lower() in self.others:
            return replace(self.others[name.lower()], source=self.source)
        offered = [self.algorithm.lower(), *self.others]
        close = difflib.get_close_matches(name.lower(), offered, n=1)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        raise UsageError(
            f"--algorithm {name}: the experiment {self.name} has no such algorithm.{hint} It has: "
            f"{', '.join(offered)}."
        )
