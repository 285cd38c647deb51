"""What a scenario defines about its worlds; the rest is common to all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import ADVERSARY, GOOD, GREY, Colour, Disc


@dataclass(frozen=True)
class Count:
    """How many agents there are."""

    agents: int  # adversaries included
    adversaries: int

    @property
    def good(self) -> int:
        return self.agents - self.adversaries


class Scenario:
    """One kind of world: who is in it, what they see, what they earn.

    Subclasses set `agents` and `landmarks` in `__init__`.
    """

    name: ClassVar[str]
    default: ClassVar[Count]
    any_agents: ClassVar[bool] = False
    """Whether the number of agents may differ from `default`'s."""
    any_adversaries: ClassVar[bool] = False
    has_local_ratio: ClassVar[bool] = False
    words: ClassVar[int] = 0
    """How many numbers an agent says; mpe2 also includes them for agents that cannot speak."""
    num_hidden: ClassVar[int] = 0
    landmark_spread: ClassVar[float] = 1.0
    counts: ClassVar[tuple[str, ...]] = ()
    """What `score` counts in every step."""

    agents: tuple[Body, ...]
    landmarks: tuple[Body, ...]

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        self.count_of, self.local_ratio = count, local_ratio

    @classmethod
    def count(cls, num_agents: int | None, num_adversaries: int | None) -> Count:
        agents = cls.default.agents if num_agents is None else num_agents
        adversaries = cls.default.adversaries if num_adversaries is None else num_adversaries
        return Count(agents, adversaries)

    def extra(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of `Physics.extra`."""
        return {}

    def make_physics(self, num_worlds: int) -> Physics:
        return Physics(
            self.agents, self.landmarks, num_worlds, self.words, self.num_hidden, self.extra()
        )

    def refresh(self, physics: Physics) -> None:
        """Recompute everything that depends on positions, velocities, speech and hidden choices."""
        physics.look()
        self.begin(physics)
        self.look(physics)

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        """Rows of the table that an agent observes, in mpe2's order."""
        raise NotImplementedError

    def begin(self, physics: Physics) -> None:
        """Fill what `hidden` decides in `physics.extra`."""

    def look(self, physics: Physics) -> None:
        """Fill what changes with every step in `physics.extra`."""

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        """Set the rewards [N, W] and what `self.counts` names [len(counts), W] of one step."""
        raise NotImplementedError

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        """Readable measurements of the episodes that end now, each [W].

        Args:
            totals: [len(counts), W], summed over the episode.
        """
        return {}

    def mpe2_options(self) -> dict[str, Any]:
        """Arguments with which mpe2 creates the same world."""
        return {}

    def hidden_in(self, world: Any) -> list[int]:
        """`Physics.hidden` of an mpe2 world."""
        return []

    def picture(self, physics: Physics, world: int) -> tuple[list[Disc], list[str]]:
        """What `draw` shows of one world."""
        n = len(self.agents)
        colours = self.colours(physics, world)
        names = [body.name for body in self.agents]
        labels = [_label(name, names) for name in names] + [""] * len(self.landmarks)
        places = physics.position[:, :, world].T.tolist()
        discs = [
            Disc(x, y, body.size, colour, label, _shape(body))
            for (x, y), body, label, colour in zip(
                places, self.agents + self.landmarks, labels, colours, strict=True
            )
        ]
        captions = [
            f"{body.name} says {heard(physics.speech[i, :, world])}"
            for i, body in enumerate(self.agents)
            if body.speaks
        ]
        return discs[n:] + discs[:n], captions

    def colours(self, physics: Physics, world: int) -> list[Colour]:
        """Colours of agents, then landmarks."""
        teams = [GOOD if body.team == "good" else ADVERSARY for body in self.agents]
        return teams + [GREY] * len(self.landmarks)


def heard(speech: Array) -> str:
    """A word as a letter, other speech as numbers."""
    if not speech.any():
        return "nothing"
    if np.isin(speech, (0, 1)).all() and speech.sum() == 1:
        return chr(ord("A") + int(speech.argmax()))
    return " ".join(f"{number:.1f}" for number in speech)


def _shape(body: Body) -> str:
    """A landmark to go to is a square, one to bump into a disc."""
    return "square" if body.name.startswith("landmark") and not body.collides else "disc"


def _label(name: str, names: list[str]) -> str:
    """A number if there are several of a kind, an initial if the kind is meaningful."""
    kind, _, number = name.rpartition("_")
    if f"{kind}_1" in names:
        return number
    return "" if kind in ("agent", "adversary") else kind[0].upper()


def others(physics: Physics, agent: int) -> list[int]:
    return [i for i in range(len(physics.agents)) if i != agent]


def standing(physics: Physics) -> list[int]:
    """The landmarks, as indices of bodies."""
    n = len(physics.agents)
    return list(range(n, n + len(physics.landmarks)))


def vectors(rows: Rows, which: list[int]) -> Rows:
    """Rows [2, M] of some bodies in the order x, y, x, y, ..."""
    return rows[:, which].T.ravel()


def speech_of(physics: Physics, which: list[int]) -> Rows:
    return physics.rows["speech"][which].ravel()


def pick(values: Array, chosen: Rows) -> Array:
    """From values [..., L, W], the one chosen [W] in each world: [..., W]."""
    return values[..., chosen, np.arange(values.shape[-1])]


def squared(offset: Array) -> Array:
    """Squared lengths [...] of offsets [2, ...]."""
    return offset[0] * offset[0] + offset[1] * offset[1]
