"""simple_speaker_listener: one agent says which landmark to go to, the other goes there."""

from __future__ import annotations

from typing import Any

import numpy as np

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import INK, Colour, shade
from savanna.envs.particle.scenarios.base import (
    Count,
    Scenario,
    pick,
    speech_of,
    squared,
    standing,
    vectors,
)

SPEAKER, LISTENER = 0, 1
COLOURS = np.array([[0.65, 0.15, 0.15], [0.15, 0.65, 0.15], [0.15, 0.15, 0.65]])


class SimpleSpeakerListener(Scenario):
    name = "simple_speaker_listener"
    default = Count(agents=2, adversaries=0)
    words = 3
    num_hidden = 1  # the landmark to go to

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        self.agents = (
            Body("speaker_0", size=0.075, moves=False, speaks=True),
            Body("listener_0", size=0.075),
        )
        self.landmarks = tuple(Body(f"landmark {i}", size=0.04) for i in range(3))

    def extra(self) -> dict[str, tuple[int, ...]]:
        return {"goal_colour": (3,)}

    def begin(self, physics: Physics) -> None:
        physics.extra["goal_colour"][...] = COLOURS[physics.hidden[0]].T

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        if agent == SPEAKER:
            return [physics.rows["goal_colour"]]
        return [
            physics.rows["velocity"][:, agent],
            vectors(physics.rows["offset"][:, agent], standing(physics)),
            speech_of(physics, [SPEAKER]),
        ]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        rewards[...] = -squared(pick(physics.offset[:, LISTENER, 2:], physics.hidden[0]))

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        return {"goal_distance": pick(physics.distance[LISTENER, 2:], physics.hidden[0])}

    def hidden_in(self, world: Any) -> list[int]:
        return [world.landmarks.index(world.agents[SPEAKER].goal_b)]

    def colours(self, physics: Physics, world: int) -> list[Colour]:
        """The speaker has the goal's colour."""
        return [shade(COLOURS[physics.hidden[0, world]]), INK, *map(shade, COLOURS)]
