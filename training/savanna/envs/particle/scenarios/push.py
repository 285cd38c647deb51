"""simple_push: an agent goes to one of two landmarks; an adversary pushes it away."""

from __future__ import annotations

from typing import Any

import numpy as np

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import GREEN, GREY, Colour
from savanna.envs.particle.scenarios.base import Count, Scenario, others, pick, standing, vectors

ADVERSARY, AGENT = 0, 1
COLOURS = np.array([[0.1, 0.9, 0.1], [0.1, 0.1, 0.9]])
AGENT_COLOURS = np.array([[0.25, 0.75, 0.25], [0.25, 0.25, 0.75]])  # by goal


class SimplePush(Scenario):
    name = "simple_push"
    default = Count(agents=2, adversaries=1)
    num_hidden = 1  # the agent's goal

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        self.agents = (
            Body("adversary_0", collides=True, team="adversary"),
            Body("agent_0", collides=True),
        )
        self.landmarks = tuple(Body(f"landmark {i}") for i in range(2))

    def extra(self) -> dict[str, tuple[int, ...]]:
        return {"goal": (2,), "agent_colour": (3,), "colours": (2, 3)}

    def begin(self, physics: Physics) -> None:
        physics.extra["agent_colour"][...] = AGENT_COLOURS[physics.hidden[0]].T
        physics.extra["colours"][...] = COLOURS[:, :, None]

    def look(self, physics: Physics) -> None:
        physics.extra["goal"][...] = pick(physics.offset[:, AGENT, 2:], physics.hidden[0])

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        rows = physics.rows
        offset = rows["offset"][:, agent]
        velocity, landmarks = rows["velocity"][:, agent], vectors(offset, standing(physics))
        other = vectors(offset, others(physics, agent))
        if agent == ADVERSARY:
            return [velocity, landmarks, other]
        colours = rows["colours"].ravel()
        return [velocity, rows["goal"], rows["agent_colour"], landmarks, colours, other]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        adversary, agent = pick(physics.distance[:, 2:], physics.hidden[0])
        rewards[AGENT] = -agent
        rewards[ADVERSARY] = agent - adversary

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        adversary, agent = pick(physics.distance[:, 2:], physics.hidden[0])
        return {"agent_distance": agent, "adversary_distance": adversary}

    def hidden_in(self, world: Any) -> list[int]:
        return [world.landmarks.index(world.agents[0].goal_a)]

    def colours(self, physics: Physics, world: int) -> list[Colour]:
        colours = [*super().colours(physics, world)[:2], GREY, GREY]
        colours[2 + physics.hidden[0, world]] = GREEN
        return colours
