"""What simple_tag and simple_world_comm share: adversaries chase faster agents among obstacles."""

from __future__ import annotations

import numpy as np

from savanna.envs.particle.physics import Array, Body, Physics

ADVERSARY = Body("", size=0.075, collides=True, team="adversary", strength=3.0, max_speed=1.0)
OBSTACLE = Body("", size=0.2, collides=True)


def caught(physics: Physics, adversaries: int) -> Array:
    """How many adversaries touch each good agent, [good, W]."""
    n = len(physics.agents)
    near = physics.distance[:adversaries, adversaries:n]
    touching = near < physics.touch[:adversaries, adversaries:n, None]
    return touching.sum(axis=0, dtype=np.float64)


def outside(position: Array) -> Array:
    """The penalty [M, W] for positions [2, M, W] that leave the arena.

    Per axis nothing up to 0.9 from the middle, then 10 (x - 0.9), from 1 on exp(2x - 2), at
    most 10.
    """
    x = np.abs(position)
    far = np.exp(np.minimum(2 * x - 2, 3))  # exp(3) is above the limit of 10
    penalty = np.where(x < 0.9, 0, np.where(x < 1, (x - 0.9) * 10, np.minimum(far, 10)))
    return penalty[0] + penalty[1]
