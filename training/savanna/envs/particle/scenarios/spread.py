"""simple_spread: N agents cover N landmarks together and do not touch each other."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import GREEN, Disc
from savanna.envs.particle.scenarios.base import (
    Count,
    Scenario,
    others,
    speech_of,
    standing,
    vectors,
)

COVERED = 0.1
"""A landmark with an agent nearer than this is covered, as in mpe2's benchmark."""


class SimpleSpread(Scenario):
    name = "simple_spread"
    default = Count(agents=3, adversaries=0)
    any_agents = True
    has_local_ratio = True
    words = 2
    counts = ("collisions", "distance")

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        self.agents = tuple(
            Body(f"agent_{i}", size=0.15, collides=True) for i in range(count.agents)
        )
        self.landmarks = tuple(Body(f"landmark {i}") for i in range(count.agents))

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        offset = physics.rows["offset"][:, agent]
        rest = others(physics, agent)
        return [
            physics.rows["velocity"][:, agent],
            physics.rows["position"][:, agent],
            vectors(offset, standing(physics)),
            vectors(offset, rest),
            speech_of(physics, rest),
        ]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        n = len(self.agents)
        nearest = physics.distance[:, n:].min(axis=0)
        touching = physics.distance[:, :n] < physics.touch[:, :n, None]
        hits = touching.sum(axis=1) - 1.0  # an agent touches itself too
        covering = -nearest.sum(axis=0)
        np.add(covering * (1 - self.local_ratio), -hits * self.local_ratio, out=rewards)
        counts[0] = hits.sum(axis=0) / 2
        counts[1] = nearest.mean(axis=0)

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        nearest = physics.distance[:, len(self.agents) :].min(axis=0)
        return {
            "landmarks_covered": (nearest < COVERED).sum(axis=0),
            "collisions": totals[0],
            "landmark_distance": totals[1] / steps,
        }

    def mpe2_options(self) -> dict[str, Any]:
        return {"N": self.count_of.agents, "local_ratio": self.local_ratio}

    def picture(self, physics: Physics, world: int) -> tuple[list[Disc], list[str]]:
        """Covered landmarks are on top, in green."""
        discs, captions = super().picture(physics, world)
        n = len(self.agents)
        nearest = physics.distance[:, n:, world].min(axis=0)
        landmarks, agents = discs[: len(nearest)], discs[len(nearest) :]
        covered = [
            replace(disc, colour=GREEN)
            for disc, near in zip(landmarks, nearest, strict=True)
            if near < COVERED
        ]
        return landmarks + agents + covered, captions
