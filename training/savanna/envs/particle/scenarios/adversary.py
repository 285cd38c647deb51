"""simple_adversary: good agents cover a target and hide from the adversary which one it is."""

from __future__ import annotations

from typing import Any

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import GREEN, GREY, Colour
from savanna.envs.particle.scenarios.base import Count, Scenario, others, pick, standing, vectors


class SimpleAdversary(Scenario):
    name = "simple_adversary"
    default = Count(agents=3, adversaries=1)
    any_agents = True
    num_hidden = 1  # the target

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        self.agents = (
            Body("adversary_0", size=0.15, team="adversary"),
            *(Body(f"agent_{i}", size=0.15) for i in range(count.good)),
        )
        self.landmarks = tuple(Body(f"landmark {i}", size=0.08) for i in range(count.good))

    def extra(self) -> dict[str, tuple[int, ...]]:
        return {"goal": (2, len(self.agents))}

    def look(self, physics: Physics) -> None:
        landmarks = physics.offset[:, :, len(self.agents) :]
        physics.extra["goal"][...] = pick(landmarks, physics.hidden[0])

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        offset = physics.rows["offset"][:, agent]
        seen = [vectors(offset, standing(physics)), vectors(offset, others(physics, agent))]
        return seen if agent == 0 else [physics.rows["goal"][:, agent], *seen]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        adversary, nearest = self._distances(physics)
        rewards[0] = -adversary
        rewards[1:] = -nearest + adversary

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        adversary, nearest = self._distances(physics)
        return {"agent_distance": nearest, "adversary_distance": adversary}

    def _distances(self, physics: Physics) -> tuple[Array, Array]:
        """Distances from the target to the adversary and to the nearest good agent, each [W]."""
        distances = pick(physics.distance[:, len(self.agents) :], physics.hidden[0])
        return distances[0], distances[1:].min(axis=0)

    def mpe2_options(self) -> dict[str, Any]:
        return {"N": self.count_of.good}

    def hidden_in(self, world: Any) -> list[int]:
        return [world.landmarks.index(world.agents[0].goal_a)]

    def colours(self, physics: Physics, world: int) -> list[Colour]:
        colours = super().colours(physics, world)[: len(self.agents)] + [GREY] * len(self.landmarks)
        colours[len(self.agents) + physics.hidden[0, world]] = GREEN
        return colours
