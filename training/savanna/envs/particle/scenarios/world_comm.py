"""simple_world_comm: simple_tag with food, forests to hide in, and a leader who sees and speaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import AMBER, DARK_ADVERSARY, FOREST, INK, Colour, Disc
from savanna.envs.particle.scenarios.base import (
    Count,
    Scenario,
    others,
    speech_of,
    standing,
    vectors,
)
from savanna.envs.particle.scenarios.chase import ADVERSARY, OBSTACLE, caught, outside

LEADER = 0
OBSTACLES, FOOD, FORESTS = 1, 2, 2


class SimpleWorldComm(Scenario):
    name = "simple_world_comm"
    default = Count(agents=6, adversaries=4)
    any_agents = True
    any_adversaries = True
    words = 4
    landmark_spread = 0.9
    counts = ("catches", "food")

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        prey = Body("", size=0.045, collides=True, strength=4.0, max_speed=1.3)
        self.agents = (
            replace(ADVERSARY, name="leadadversary_0", speaks=True),
            *(replace(ADVERSARY, name=f"adversary_{i}") for i in range(count.adversaries - 1)),
            *(replace(prey, name=f"agent_{i}") for i in range(count.good)),
        )
        self.landmarks = (
            *(replace(OBSTACLE, name=f"landmark {i}") for i in range(OBSTACLES)),
            *(Body(f"food {i}", size=0.03) for i in range(FOOD)),
            *(Body(f"forest {i}", size=0.3) for i in range(FORESTS)),
        )
        self.first_good, n = count.adversaries, count.agents
        self.food = slice(n + OBSTACLES, n + OBSTACLES + FOOD)
        self.forests = slice(self.food.stop, self.food.stop + FORESTS)

    def extra(self) -> dict[str, tuple[int, ...]]:
        n, good = self.count_of.agents, self.count_of.good
        return {"seen_offset": (2, n, n), "seen_velocity": (2, n, good), "in_forest": (n, FORESTS)}

    def look(self, physics: Physics) -> None:
        """Who sees whom: in the same forest, or both in the open; the leader sees everyone."""
        n = len(self.agents)
        inside = physics.distance[:, self.forests] < physics.touch[:, self.forests, None]
        hidden = inside.any(axis=1)
        seen = ~(hidden[:, None] | hidden)
        for forest in range(FORESTS):
            seen |= inside[:, None, forest] & inside[:, forest]
        seen[LEADER] = True
        extra = physics.extra
        extra["seen_offset"][...] = physics.offset[:, :, :n] * seen
        good = self.first_good
        extra["seen_velocity"][...] = physics.velocity[:, None, good:] * seen[:, good:]
        extra["in_forest"][...] = inside * 2.0 - 1

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        rows, rest = physics.rows, others(physics, agent)
        good = [i - self.first_good for i in rest if i >= self.first_good]
        velocities = vectors(rows["seen_velocity"][:, agent], good)
        before = [
            rows["velocity"][:, agent],
            rows["position"][:, agent],
            vectors(rows["offset"][:, agent], standing(physics)),
            vectors(rows["seen_offset"][:, agent], rest),
        ]
        if agent >= self.first_good:
            return [*before, rows["in_forest"][agent], velocities]
        return [*before, velocities, rows["in_forest"][agent], speech_of(physics, [LEADER])]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        first, n = self.first_good, len(self.agents)
        catches = caught(physics, first)
        food = physics.distance[first:, self.food]
        eaten = (food < physics.touch[first:, self.food, None]).sum(axis=1)
        counts[0] = catches.sum(axis=0)
        counts[1] = eaten.sum(axis=0)
        nearest_prey = physics.distance[:first, first:n].min(axis=1)
        rewards[:first] = 5 * counts[0] - 0.1 * nearest_prey
        away = outside(physics.position[:, first:n])
        rewards[first:] = -5 * catches - 2 * away + 2 * eaten - 0.05 * food.min(axis=1)

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        return {"catches": totals[0], "food": totals[1]}

    def mpe2_options(self) -> dict[str, Any]:
        return {"num_good": self.count_of.good, "num_adversaries": self.count_of.adversaries}

    def colours(self, physics: Physics, world: int) -> list[Colour]:
        teams = super().colours(physics, world)[: len(self.agents)]
        teams[LEADER] = DARK_ADVERSARY
        return teams + [INK] * OBSTACLES + [AMBER] * FOOD + [FOREST] * FORESTS

    def picture(self, physics: Physics, world: int) -> tuple[list[Disc], list[str]]:
        """Forests behind everything else."""
        discs, captions = super().picture(physics, world)
        return sorted(discs, key=lambda disc: disc.colour != FOREST), captions
