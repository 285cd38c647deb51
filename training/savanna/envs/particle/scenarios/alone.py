"""simple: one agent goes to one landmark."""

from __future__ import annotations

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.scenarios.base import Count, Scenario, squared, standing, vectors


class Simple(Scenario):
    name = "simple"
    default = Count(agents=1, adversaries=0)

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        self.agents = (Body("agent_0"),)
        self.landmarks = (Body("landmark 0"),)

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        offset = physics.rows["offset"][:, agent]
        return [physics.rows["velocity"][:, agent], vectors(offset, standing(physics))]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        rewards[0] = -squared(physics.offset[:, 0, 1])

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        return {"goal_distance": physics.distance[0, 1]}
