"""What Savanna needs from an environment. Each family implements it in one module beside this one.
Importing is cheap: the libraries that play are imported only when an environment is created.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    import gymnasium as gym
    import numpy as np
    from numpy.typing import NDArray

    from savanna.envs.particle.world import OldScale

    Spaces = tuple[gym.Space[Any], gym.Space[Any]]  # of observations and actions


class Act(Protocol):
    """Plays: observations of each agent `[B, ...]` -> actions of each `[B, ...]`, sampled if `rng`
    is given. Observations of several parts are dictionaries of arrays."""

    def __call__(
        self, observations: Sequence[Any], rng: np.random.Generator | None = None
    ) -> list[NDArray[Any]]: ...


def each(change: Callable[..., Any], *observations: Any) -> Any:
    """`change` of the observations, or of each part where they have several."""
    first = observations[0]
    if isinstance(first, Mapping):
        return {name: change(*(one[name] for one in observations)) for name in first}
    return change(*observations)


@dataclass(frozen=True)
class Played:
    """One episode."""

    total: float  # the return, summed over all agents
    length: int  # steps of the environment
    metrics: Mapping[str, float] = field(default_factory=dict)  # other measurements
    cut: bool = False  # it would have gone on


class Watch(Protocol):
    """Told after every step how many episodes have ended, and how many steps the longest has;
    `False` cuts the others."""

    def __call__(self, ended: int, steps: int) -> bool: ...


class Shot(NamedTuple):
    """What the camera sees after `steps` steps."""

    picture: NDArray[np.uint8]  # [height, width, 3]
    steps: int
    score: float


class Environment(ABC):
    """An environment by its name and settings (`env_config`); nothing is created yet."""

    what: ClassVar[str]  # its kind, with an article
    train_words: ClassVar[str]  # of the command that trains on it
    ours: ClassVar[bool] = True
    """Whether this package creates it: it ends, can be filmed and has a network that fits."""
    own_keywords: ClassVar[bool] = False
    """Whether `env_config` holds keywords of its constructor, which alone knows them."""
    filmed_in_training: ClassVar[bool] = False
    exported: ClassVar[str] = "model.onnx"  # the main file of an export
    evaluated_with_draws: ClassVar[bool] = False
    """Whether evaluation and films draw actions by default, as training does. Where the world is
    deterministic, the most probable action may change nothing and be taken for ever."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name, self.settings = name, settings

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """The same environment with these settings changed."""
        return type(self)(self.name, {**self.settings, **settings})

    @classmethod
    @abstractmethod
    def recognises(cls, name: str) -> bool:
        """Whether `name` belongs to this family."""

    @property
    def command(self) -> str:
        """The command that trains on it."""
        return f"savanna train {self.train_words} {self.name}"

    # Before anything is created

    @abstractmethod
    def check(self) -> list[str]:
        """Warnings; `UsageError` with all problems of its name and settings."""

    def takes(self, keyword: str) -> str | None:
        """A hint if a constructor with `own_keywords` lacks `keyword`; `None` if it has it."""
        return None

    @property
    def task(self) -> dict[str, Any]:
        """The settings that returns depend on, with defaults filled in."""
        return {}

    @property
    def description(self) -> str:
        return self.name

    @property
    def old_scale(self) -> OldScale | None:
        """How to convert returns to the retired service's scale, if known."""
        return None

    @property
    def shown(self) -> dict[str, str]:
        """What a dry run shows besides the settings."""
        return {}

    def references(self) -> dict[str, float]:
        """Other players -> their mean return, to compare the agents with."""
        return {}

    # Its networks

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents' names, where there are several."""
        return ()

    def networks(self, *, shared: bool) -> tuple[str, ...]:
        """The name of each agent's network; `shared`: one for all agents of a kind."""
        return ("default_policy",)

    def model_file(self, network: str) -> str:
        """The file that a network is exported to."""
        return "model.onnx"

    @abstractmethod
    def spaces(self) -> list[Spaces]:
        """Each agent's observation and action space, as networks see them."""

    @abstractmethod
    def export_description(self, networks: list[dict[str, Any]]) -> dict[str, Any]:
        """The part of `model.json` on how to use the exported networks, one per agent."""

    # Playing

    @abstractmethod
    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        """The environment itself, for `savanna check-env`."""

    @abstractmethod
    def make_as_trained(self, render_mode: str | None = None) -> Any:
        """One that shows what the policy sees: Gymnasium's `Env`, or with several agents
        PettingZoo's `ParallelEnv`."""

    @abstractmethod
    def play(
        self, players: Iterable[Act], episodes: int, seed: int, explore: bool, watch: Watch
    ) -> Iterator[list[Played]]:
        """Let each player in turn play the same episodes, numbered from `seed`."""

    @abstractmethod
    def film(self, act: Act, seed: int) -> Iterator[Shot]:
        """The first of these episodes: a shot before every step and one at the end."""

    @abstractmethod
    def frames_per_second(self) -> int:
        """Frame rate of its films."""

    @abstractmethod
    def observations(self, act: Act, count: int) -> list[Any]:
        """At least `count` observations of each agent, collected by playing."""
