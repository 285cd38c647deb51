"""Bodies that push each other, in many worlds at once, with the arithmetic of mpe2's core.

Worlds are the last axis of every array, so that each operation runs over contiguous memory.
Everything an agent may observe is in one table [rows, worlds]; an observation selects rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DT = 0.1
DAMPING = 0.25
CONTACT_FORCE = 100.0
CONTACT_MARGIN = 1e-3
CONTACT_REACH = 0.04
"""Contacts with a wider gap are ignored: their force is below 1e-18."""

Array = NDArray[np.float64]
Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Body:
    """An agent or a landmark; the defaults are mpe2's."""

    name: str
    size: float = 0.05
    collides: bool = False
    # Agents only:
    team: str = "good"
    moves: bool = True
    speaks: bool = False
    strength: float = 5.0
    max_speed: float | None = None


class Physics:
    """The state of every world.

    With W worlds, N agents, E agents and landmarks (agents first) and words of C numbers:

    position [2, E, W], velocity [2, N, W], speech [N, C, W];
    offset [2, N, E, W] and distance [N, E, W] from each agent to each body;
    hidden [H, W]: landmarks that a scenario chose, such as a goal;
    extra: named arrays of the scenario's own that agents observe.
    """

    def __init__(
        self,
        agents: tuple[Body, ...],
        landmarks: tuple[Body, ...],
        num_worlds: int,
        words: int,
        num_hidden: int,
        extra: dict[str, tuple[int, ...]],
    ) -> None:
        self.agents, self.landmarks = agents, landmarks
        n, e = len(agents), len(agents) + len(landmarks)
        shapes = {"position": (2, e), "velocity": (2, n), "offset": (2, n, e), "speech": (n, words)}
        self.rows: dict[str, Rows] = {}
        end = 0
        for name, shape in (shapes | extra).items():
            size = int(np.prod(shape))
            self.rows[name] = np.arange(end, end + size).reshape(shape)
            end += size
        self.table: Array = np.zeros((end, num_worlds))
        self.position = self._view("position")
        self.velocity = self._view("velocity")
        self.offset = self._view("offset")
        self.speech = self._view("speech")
        self.extra = {name: self._view(name) for name in extra}
        self.distance: Array = np.zeros((n, e, num_worlds))
        self.hidden = np.zeros((num_hidden, num_worlds), np.int64)

        bodies = agents + landmarks
        self.sizes = np.array([body.size for body in bodies])
        self.touch = self.sizes[:n, None] + self.sizes  # [N, E]: closer than this is a collision
        pairs = [
            (a, b)
            for a in range(n)
            for b in range(a + 1, e)
            if bodies[a].collides and bodies[b].collides
        ]
        self._one, self._other = np.array(pairs, np.int64).reshape(-1, 2).T
        self._contact = self.touch[self._one, self._other][:, None]
        fastest = [np.inf if a.max_speed is None else a.max_speed for a in agents]
        self._max_speed = np.array(fastest)[:, None] if np.isfinite(min(fastest)) else None

    def _view(self, name: str) -> Array:
        rows = self.rows[name]
        start = rows.flat[0] if rows.size else 0
        return self.table[start : start + rows.size].reshape(*rows.shape, self.table.shape[1])

    def place(self, rng: np.random.Generator, spread: float) -> None:
        """Place agents anywhere in -1..1, at rest and silent; landmarks in -spread..spread.

        Call `look` afterwards.
        """
        n = len(self.agents)
        self.position[:, :n] = rng.uniform(-1, 1, self.position[:, :n].shape)
        self.position[:, n:] = rng.uniform(-spread, spread, self.position[:, n:].shape)
        self.velocity[...] = 0
        self.speech[...] = 0
        self.hidden[...] = rng.integers(len(self.landmarks), size=self.hidden.shape)

    def advance(self, push: Array) -> None:
        """One time step under the agents' own forces [2, N, W].

        A body first moves with its old velocity; then damping, forces and the speed limit change
        the velocity. All masses are 1.
        """
        self._add_contacts(push)
        moving = self.position[:, : len(self.agents)]
        moving += self.velocity * DT
        self.velocity *= 1 - DAMPING
        self.velocity += push * DT
        if self._max_speed is not None:
            speed = np.sqrt(self.velocity[0] ** 2 + self.velocity[1] ** 2)
            over = speed > self._max_speed
            slower = self.velocity / np.where(over, speed, 1) * self._max_speed
            np.copyto(self.velocity, slower, where=over)
        self.look()

    def look(self) -> None:
        """Update offsets and distances after positions have changed."""
        n = len(self.agents)
        np.subtract(self.position[:, None], self.position[:, :n, None], out=self.offset)
        np.multiply(self.offset[0], self.offset[0], out=self.distance)
        self.distance += self.offset[1] * self.offset[1]
        np.sqrt(self.distance, out=self.distance)

    def _add_contacts(self, push: Array) -> None:
        """Add the force between touching bodies: a softplus of how far they overlap."""
        if not self._one.size:
            return
        gap = self.distance[self._one, self._other] - self._contact
        pair, world = np.nonzero(gap < CONTACT_REACH)
        if not pair.size:
            return
        one, other = self._one[pair], self._other[pair]
        depth = np.logaddexp(0, -gap[pair, world] / CONTACT_MARGIN) * CONTACT_MARGIN
        away = -self.offset[:, one, other, world]
        force = CONTACT_FORCE * away / self.distance[one, other, world] * depth
        pushed = other < len(self.agents)  # landmarks stand still
        for axis in range(2):
            np.add.at(push[axis], (one, world), force[axis])
            np.subtract.at(push[axis], (other[pushed], world[pushed]), force[axis][pushed])
