"""Worlds stepped side by side in NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from savanna.envs.particle.physics import Array
from savanna.envs.particle.picture import draw
from savanna.envs.particle.scenarios.base import Scenario
from savanna.envs.particle.world import AgentSpec, Episode, Step

MOVES = 5
"""Discrete: stay, left, right, down, up. Continuous: their strengths, the first without effect."""
_DIRECTIONS = np.array([[0, -1, 1, 0, 0], [0, 0, 0, -1, 1]], np.float64)


class NumpyWorlds:
    """`VectorWorlds` for a scenario of `SCENARIOS`; physics in float64, like mpe2's.

    `physics` holds the true state; `rewards` [N, W] are the last step's in float64.
    """

    def __init__(self, kind: Scenario, num_worlds: int, max_cycles: int, continuous: bool) -> None:
        self.kind, self.num_worlds, self.max_cycles = kind, num_worlds, max_cycles
        self.scenario, self.continuous = kind.name, continuous
        bodies = kind.agents
        self.physics = kind.make_physics(num_worlds)
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
        """What each discrete action does, for all agents in order."""
        self._first_action = np.cumsum([0, *sizes[:-1]])[:, None]
        pushes, words = [], []
        for body, size in zip(self.kind.agents, sizes, strict=True):
            action = np.arange(size)
            move, word = (action % MOVES, action // MOVES) if body.moves else (action * 0, action)
            pushes.append(_DIRECTIONS[:, move] * body.strength)
            words.append(np.eye(self.kind.words)[:, word] if body.speaks else np.empty(0))
        self._pushes = np.concatenate(pushes, axis=1)
        self._words = words

    def reset(self, seed: int | Sequence[int] | None = None) -> list[NDArray[np.float32]]:
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        self._begin(seed if isinstance(seed, Sequence) else ())
        return self._observe()

    def _begin(self, seeds: Sequence[int] = ()) -> None:
        self.physics.place(self._rng, self.kind.landmark_spread)
        if seeds:
            self._place_each(seeds)
        self.kind.refresh(self.physics)
        self._returns[...] = 0
        self._totals[...] = 0
        self._clock = 0

    def _place_each(self, seeds: Sequence[int]) -> None:
        alone = self.kind.make_physics(1)
        for world, seed in zip(range(self.num_worlds), seeds, strict=True):
            alone.place(np.random.default_rng(seed), self.kind.landmark_spread)
            self.physics.position[..., world] = alone.position[..., 0]
            self.physics.hidden[..., world] = alone.hidden[..., 0]

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
        found = self.kind.metrics(self.physics, self._totals, self.max_cycles)
        episodes = list_episodes(self._returns, self.max_cycles, found)
        self._begin()
        return Step(self._observe(), rewards, truncated, observations, episodes)

    def frame(self, world: int = 0, size: int = 350) -> NDArray[np.uint8]:
        if self._clock is None:
            raise ValueError("reset the worlds before the first picture")
        return draw(*self.kind.picture(self.physics, world), size)

    def _observe(self) -> list[NDArray[np.float32]]:
        rows = self.physics.table.take(self._seen, axis=0)
        if self._same_size:  # views of one array [N, W, size]
            shaped = rows.reshape(len(self.agents), -1, self.num_worlds).transpose(0, 2, 1)
            return list(shaped.astype(np.float32, order="C"))
        parts = np.split(rows, self._ends[:-1])
        return [part.T.astype(np.float32, order="C") for part in parts]

    def _act(self, actions: list[NDArray[Any]]) -> Array:
        """Set what agents say; return their own forces [2, N, W]."""
        if self.continuous:
            return self._act_continuous(check_continuous(actions, self.agents, self.num_worlds))
        chosen = check_discrete(actions, self.agents, self.num_worlds)
        for i in self._speakers:
            self.physics.speech[i] = self._words[i].take(chosen[i], axis=1)
        return self._pushes.take(chosen + self._first_action, axis=1)

    def _act_continuous(self, actions: list[NDArray[np.float32]]) -> Array:
        push = np.zeros((2, *self.rewards.shape))
        for i, (body, given) in enumerate(zip(self.kind.agents, actions, strict=True)):
            action = given.T
            if body.moves:
                push[0, i] = action[2] - action[1]
                push[1, i] = action[4] - action[3]
                action = action[MOVES:]
            if body.speaks:
                self.physics.speech[i] = action
        push *= self._strength
        return push


def list_episodes(returns: Array, length: int, metrics: dict[str, Array]) -> list[Episode]:
    """The episodes of all worlds, which end together; returns [N, W], metrics each [W]."""
    columns = {name: np.asarray(values, np.float64).tolist() for name, values in metrics.items()}
    return [
        Episode(tuple(row), length, {name: column[w] for name, column in columns.items()}, w)
        for w, row in enumerate(returns.T.tolist())
    ]


def check_discrete(
    actions: list[NDArray[Any]], agents: tuple[AgentSpec, ...], num_worlds: int
) -> NDArray[np.int64]:
    """The actions as one array [N, W], or a ValueError."""
    chosen = np.asarray(actions)
    if chosen.shape != (len(agents), num_worlds) or chosen.dtype.kind not in "iu":
        raise ValueError(f"actions: {len(agents)} arrays of {num_worlds} whole numbers each")
    for spec, highest, lowest in zip(agents, chosen.max(axis=1), chosen.min(axis=1), strict=True):
        if lowest < 0 or highest >= spec.num_actions:
            raise ValueError(f"actions of {spec.name} are 0 to {spec.num_actions - 1}")
    return chosen


def check_continuous(
    actions: list[NDArray[Any]], agents: tuple[AgentSpec, ...], num_worlds: int
) -> list[NDArray[np.float32]]:
    """The actions by agent [W, action_size], clipped to 0..1, or a ValueError."""
    shapes = [(num_worlds, spec.action_size) for spec in agents]
    if [np.shape(given) for given in actions] != shapes:
        wanted = ", ".join(str(list(shape)) for shape in shapes)
        raise ValueError(f"actions: floats with the shapes {wanted}")
    return [np.clip(np.asarray(given, np.float32), 0, 1) for given in actions]
