"""What Savanna asks of an environment. Each family of environments answers in one module beside
this one; importing it is cheap, as what plays is imported only where it is made.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    import gymnasium as gym
    import numpy as np
    from numpy.typing import NDArray

    from savanna.envs.particle.world import OldScale

    Spaces = tuple[gym.Space[Any], gym.Space[Any]]  # of observations and actions


class Act(Protocol):
    """Plays: observations of each agent `[B, ...]` -> actions of each `[B, ...]`, drawn if `rng`
    is given."""

    def __call__(
        self, observations: Sequence[NDArray[Any]], rng: np.random.Generator | None = None
    ) -> list[NDArray[Any]]: ...


@dataclass(frozen=True)
class Played:
    """One episode."""

    total: float  # the return, of all agents together
    length: int  # steps of the environment
    metrics: Mapping[str, float] = field(default_factory=dict)  # what else was measured


class Shot(NamedTuple):
    """What the camera sees after `steps` steps."""

    picture: NDArray[np.uint8]  # [height, width, 3]
    steps: int
    score: float


class Environment(ABC):
    """An environment by its name and its settings (`env_config`); nothing is made yet."""

    what: ClassVar[str]  # of what kind it is, with its article
    train_words: ClassVar[str]  # of the command that trains on it
    ours: ClassVar[bool] = True
    """Whether this package makes it: it ends, can be filmed and has a network that fits."""
    own_keywords: ClassVar[bool] = False
    """Whether `env_config` holds keywords of its constructor, which knows alone what they are."""
    filmed_in_training: ClassVar[bool] = False
    exported: ClassVar[str] = "model.onnx"  # the file of an export to begin with

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.name, self.settings = name, settings

    def changed(self, settings: Mapping[str, Any]) -> Self:
        """The same with these settings set."""
        return type(self)(self.name, {**self.settings, **settings})

    @classmethod
    @abstractmethod
    def recognises(cls, name: str) -> bool:
        """Whether `name` is one of this family."""

    @property
    def command(self) -> str:
        """What to type to train on it."""
        return f"savanna train {self.train_words} {self.name}"

    # Before anything is made

    @abstractmethod
    def check(self) -> None:
        """`UsageError` with all that is wrong with its name and settings."""

    def takes(self, keyword: str) -> str | None:
        """What to say if a constructor with `own_keywords` lacks `keyword`; `None` if it has it."""
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
        """How returns read on the retired service's scale, where that is known."""
        return None

    @property
    def shown(self) -> dict[str, str]:
        """What a dry run shows besides the settings."""
        return {}

    def references(self) -> dict[str, float]:
        """Who else plays it -> mean return, to see beside the agents."""
        return {}

    # Its networks

    @property
    def agents(self) -> tuple[str, ...]:
        """The agents' names, where there are several."""
        return ()

    def networks(self, *, shared: bool) -> tuple[str, ...]:
        """For each agent the name of its network; `shared`: one for all of a kind."""
        return ("default_policy",)

    def model_file(self, network: str) -> str:
        """The file that a network is exported to."""
        return "model.onnx"

    @abstractmethod
    def spaces(self) -> list[Spaces]:
        """What networks see and choose, for each agent."""

    @abstractmethod
    def export_description(self, networks: list[dict[str, Any]]) -> dict[str, Any]:
        """Of `model.json`: how to use the exported networks, one for each agent."""

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
        self, players: Iterable[Act], episodes: int, seed: int, explore: bool
    ) -> Iterator[list[Played]]:
        """The same episodes, numbered from `seed`, played by one after the other."""

    @abstractmethod
    def film(self, act: Act, seed: int) -> Iterator[Shot]:
        """The first of these episodes, before every step and at its end."""

    @abstractmethod
    def frames_per_second(self) -> int:
        """Of its films."""

    @abstractmethod
    def observations(self, act: Act, count: int) -> list[NDArray[Any]]:
        """At least `count` observations of each agent, from playing."""
