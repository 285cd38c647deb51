"""Worlds stepped side by side in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.envs.particle.physics import Array, Physics
from training.envs.particle.picture import draw
from training.envs.particle.scenarios.base import Scenario
from training.envs.particle.world import AgentSpec, Episode, Step

MOVES = 5
"""Discrete: stay, left, right, down, up. Continuous: their strengths, the first without effect."""
_DIRECTIONS = np.array([[0, -1, 1, 0, 0], [0, 0, 0, -1, 1]], np.float64)


class NumpyWorlds:
    """`VectorWorlds` for a scenario of `SCENARIOS`; physics in float64 as mpe2's.

    `physics` holds the true state; `rewards` [N, W] are the last step's in float64.
    """

    def __init__(self, kind: Scenario, num_worlds: int, max_cycles: int, continuous: bool) -> None:
        self.kind, self.num_worlds, self.max_cycles = kind, num_worlds, max_cycles
        self.scenario, self.continuous = kind.name, continuous
        bodies = kind.agents
        self.physics = Physics(
            bodies, kind.landmarks, num_worlds, kind.words, kind.num_hidden, kind.extra()
        )
        seen = [np.concatenate(kind.observed(self.physics, i)) for i in range(len(bodies))]
        sizes = [(MOVES if b.moves else 1) * (kind.words if b.speaks else 1) for b in bodies]
        if continuous:
            sizes = [MOVES * b.moves + kind.words * b.speaks for b in bodies]
        self.agents = tuple(
            AgentSpec(
                b.name, b.team, len(rows), 0 if continuous else size, size if continuous else 0
            )
            for b, rows, size in zip(bodies, seen, sizes, strict=True)
        )
        self._same_size = len({len(rows) for rows in seen}) == 1
        self._seen = np.concatenate(seen)
        self._ends = np.cumsum([len(rows) for rows in seen])
        self._strength = np.array([b.strength for b in bodies])[:, None]
        self._speakers = [i for i, b in enumerate(bodies) if b.speaks]
        self._number_actions(sizes)
        self._rng = np.random.default_rng()
        self.rewards: Array = np.zeros((len(bodies), num_worlds))
        self._returns = np.zeros_like(self.rewards)
        self._counts: Array = np.zeros((len(kind.counts), num_worlds))
        self._totals = np.zeros_like(self._counts)
        self._clock: int | None = None

    def _number_actions(self, sizes: list[int]) -> None:
        """What each discrete action does, all agents' one after the other."""
        self._num_actions = np.array(sizes)[:, None]
        self._first_action = np.cumsum([0, *sizes[:-1]])[:, None]
        pushes, words = [], []
        for body, size in zip(self.kind.agents, sizes, strict=True):
            action = np.arange(size)
            move, word = (action % MOVES, action // MOVES) if body.moves else (action * 0, action)
            pushes.append(_DIRECTIONS[:, move] * body.strength)
            words.append(np.eye(self.kind.words)[:, word] if body.speaks else np.empty(0))
        self._pushes = np.concatenate(pushes, axis=1)
        self._words = words

    def reset(self, seed: int | None = None) -> list[NDArray[np.float32]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._begin()
        return self._observe()

    def _begin(self) -> None:
        self.physics.place(self._rng, self.kind.landmark_spread)
        self.kind.begin(self.physics)
        self.kind.look(self.physics)
        self._returns[...] = 0
        self._totals[...] = 0
        self._clock = 0

    def step(self, actions: list[NDArray[Any]]) -> Step:
        if self._clock is None:
            raise ValueError("reset the worlds before the first step")
        self.physics.advance(self._act(actions))
        self.kind.look(self.physics)
        self.kind.score(self.physics, self.rewards, self._counts)
        self._returns += self.rewards
        self._totals += self._counts
        self._clock += 1
        rewards = np.empty(self.rewards.T.shape, np.float32)
        rewards[...] = self.rewards.T
        observations = self._observe()
        ended = self._clock >= self.max_cycles  # all began together, so all end together
        truncated = np.full(self.num_worlds, ended)
        if not ended:
            return Step(observations, rewards, truncated, None, [])
        episodes = self._episodes()
        self._begin()
        return Step(self._observe(), rewards, truncated, observations, episodes)

    def frame(self, world: int = 0, size: int = 350) -> NDArray[np.uint8]:
        if self._clock is None:
            raise ValueError("reset the worlds before the first picture")
        return draw(*self.kind.picture(self.physics, world), size)

    def _episodes(self) -> list[Episode]:
        found = self.kind.metrics(self.physics, self._totals, self.max_cycles)
        metrics = {name: values.tolist() for name, values in found.items()}
        return [
            Episode(
                tuple(returns), self.max_cycles, {k: float(v[w]) for k, v in metrics.items()}, w
            )
            for w, returns in enumerate(self._returns.T.tolist())
        ]

    def _observe(self) -> list[NDArray[np.float32]]:
        rows = self.physics.table.take(self._seen, axis=0)
        if self._same_size:  # views of one array [N, W, size]
            shaped = rows.reshape(len(self.agents), -1, self.num_worlds).transpose(0, 2, 1)
            return list(shaped.astype(np.float32, order="C"))
        parts = np.split(rows, self._ends[:-1])
        return [part.T.astype(np.float32, order="C") for part in parts]

    def _act(self, actions: list[NDArray[Any]]) -> Array:
        """Set what is said; return the agents' own forces [2, N, W]."""
        if self.continuous:
            return self._act_continuous(actions)
        chosen = np.asarray(actions)
        if chosen.shape != self.rewards.shape or chosen.dtype.kind not in "iu":
            raise ValueError(
                f"actions: {len(self.agents)} arrays of {self.num_worlds} whole numbers"
            )
        if (chosen >= self._num_actions).any() or chosen.min() < 0:
            raise ValueError(f"actions must be in 0..{(self._num_actions - 1).ravel()} by agent")
        for i in self._speakers:
            self.physics.speech[i] = self._words[i].take(chosen[i], axis=1)
        return self._pushes.take(chosen + self._first_action, axis=1)

    def _act_continuous(self, actions: list[NDArray[Any]]) -> Array:
        push = np.zeros((2, *self.rewards.shape))
        if len(actions) != len(self.agents):
            raise ValueError(f"actions: {len(self.agents)} arrays, one for each agent")
        for i, (spec, given) in enumerate(zip(self.agents, actions, strict=True)):
            if np.shape(given) != (self.num_worlds, spec.action_size):
                raise ValueError(f"actions of {spec.name}: [{self.num_worlds}, {spec.action_size}]")
            action = np.clip(np.asarray(given, np.float32), 0, 1).T
            if self.kind.agents[i].moves:
                push[0, i] = action[2] - action[1]
                push[1, i] = action[4] - action[3]
                action = action[MOVES:]
            if i in self._speakers:
                self.physics.speech[i] = action
        push *= self._strength
        return push
