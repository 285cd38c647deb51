"""simple_reference: each of two agents knows where the other has to go, and may say so."""

from __future__ import annotations

from typing import Any

import numpy as np

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import Colour, shade
from savanna.envs.particle.scenarios.base import (
    Count,
    Scenario,
    others,
    pick,
    speech_of,
    standing,
    vectors,
)

COLOURS = np.array([[0.75, 0.25, 0.25], [0.25, 0.75, 0.25], [0.25, 0.25, 0.75]])


class SimpleReference(Scenario):
    name = "simple_reference"
    default = Count(agents=2, adversaries=0)
    has_local_ratio = True
    words = 10
    num_hidden = 2  # by agent, the goal of the other

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        self.agents = tuple(Body(f"agent_{i}", speaks=True) for i in range(2))
        self.landmarks = tuple(Body(f"landmark {i}") for i in range(3))

    def extra(self) -> dict[str, tuple[int, ...]]:
        return {"goal_colour": (2, 3)}

    def begin(self, physics: Physics) -> None:
        physics.extra["goal_colour"][...] = COLOURS[physics.hidden].transpose(0, 2, 1)

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        return [
            physics.rows["velocity"][:, agent],
            vectors(physics.rows["offset"][:, agent], standing(physics)),
            physics.rows["goal_colour"][agent],
            speech_of(physics, others(physics, agent)),
        ]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        own = -_distances(physics)
        rewards[...] = own.mean(axis=0) * (1 - self.local_ratio) + own * self.local_ratio

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        return {"goal_distance": _distances(physics).mean(axis=0)}

    def mpe2_options(self) -> dict[str, Any]:
        return {"local_ratio": self.local_ratio}

    def hidden_in(self, world: Any) -> list[int]:
        return [world.landmarks.index(agent.goal_b) for agent in world.agents]

    def colours(self, physics: Physics, world: int) -> list[Colour]:
        """An agent has the colour of its own goal, which it cannot see."""
        goals = [shade(COLOURS[chosen]) for chosen in physics.hidden[::-1, world]]
        return goals + [shade(colour) for colour in COLOURS]


def _distances(physics: Physics) -> Array:
    """By agent, how far the other is from the goal this one knows, [2, W]."""
    return np.stack([pick(physics.distance[1 - i, 2:], physics.hidden[i]) for i in range(2)])
