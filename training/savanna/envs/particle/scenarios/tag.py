"""simple_tag: slower adversaries catch faster agents among obstacles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import INK, Colour
from savanna.envs.particle.scenarios.base import Count, Scenario, others, standing, vectors
from savanna.envs.particle.scenarios.chase import ADVERSARY, OBSTACLE, caught, outside


class SimpleTag(Scenario):
    name = "simple_tag"
    default = Count(agents=4, adversaries=3)
    any_agents = True
    any_adversaries = True
    landmark_spread = 0.9
    counts = ("catches",)

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        prey = Body("", collides=True, strength=4.0, max_speed=1.3)
        self.agents = (
            *(replace(ADVERSARY, name=f"adversary_{i}") for i in range(count.adversaries)),
            *(replace(prey, name=f"agent_{i}") for i in range(count.good)),
        )
        self.landmarks = tuple(replace(OBSTACLE, name=f"landmark {i}") for i in range(2))

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        offset, velocity = physics.rows["offset"][:, agent], physics.rows["velocity"]
        rest = others(physics, agent)
        return [
            velocity[:, agent],
            physics.rows["position"][:, agent],
            vectors(offset, standing(physics)),
            vectors(offset, rest),
            vectors(velocity, [i for i in rest if i >= self.count_of.adversaries]),
        ]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        first = self.count_of.adversaries
        catches = caught(physics, first)
        counts[0] = catches.sum(axis=0)
        rewards[:first] = 10 * counts[0]
        rewards[first:] = -10 * catches - outside(physics.position[:, first : len(self.agents)])

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        return {"catches": totals[0]}

    def mpe2_options(self) -> dict[str, Any]:
        return {"num_good": self.count_of.good, "num_adversaries": self.count_of.adversaries}

    def colours(self, physics: Physics, world: int) -> list[Colour]:
        return super().colours(physics, world)[: len(self.agents)] + [INK] * len(self.landmarks)
