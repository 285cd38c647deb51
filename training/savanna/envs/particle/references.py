"""Scripted players of simple_spread, as a reference for learned ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from savanna.envs.particle.physics import DAMPING, DT
from savanna.envs.particle.world import Episode, VectorWorlds

REFERENCES = {
    "random": "random actions",
    "fixed": "agent i goes to landmark i",
    "best": "landmarks shared out so that the sum of distances is smallest",
}
EPISODES, SEED = 500, 10_000
NAMES = {"random": "random play", "fixed": "fixed assignment", "best": "best assignment"}
LOOK_AHEAD = 3
"""Steps after which an agent should be nearest to its landmark. An action cannot affect step 1;
2 overshoots a little more."""

Observations = list[NDArray[np.float32]]
Player = Callable[[Observations], list[NDArray[np.generic]]]
Floats = NDArray[np.float64]

_PUSHES = np.array([[0, 0], [-5, 0], [5, 0], [0, -5], [0, 5]], np.float64)


def make_player(reference: str, worlds: VectorWorlds, seed: int = 0) -> Player:
    """A player that chooses actions for `worlds.step`.

    Args:
        reference: a name in `REFERENCES`; all but "random" play only simple_spread. They see
            what agents see, and ignore collisions.

    Raises:
        ValueError: "fixed" or "best" with another scenario.
    """
    if reference == "random":
        return _random(worlds, seed)
    if worlds.scenario != "simple_spread":
        raise ValueError(f"the {reference} reference plays simple_spread, not {worlds.scenario}")
    n = len(worlds.agents)
    move = _discrete if worlds.agents[0].num_actions else _continuous

    def act(observations: Observations) -> list[NDArray[np.generic]]:
        seen = np.stack(observations, axis=1).astype(np.float64)  # [W, N, size]
        velocity, offsets = seen[..., :2], seen[..., 4 : 4 + 2 * n].reshape(-1, n, n, 2)
        if reference == "fixed":
            assigned = np.tile(np.arange(n), (len(seen), 1))
        else:
            distances = np.linalg.norm(offsets, axis=-1)
            assigned = np.stack([linear_sum_assignment(one)[1] for one in distances])
        goals = np.take_along_axis(offsets, assigned[:, :, None, None], axis=2)[:, :, 0]
        return move(goals, velocity)

    return act


def play(worlds: VectorWorlds, player: Player, episodes: int, seed: int = 0) -> list[Episode]:
    """Play at least `episodes` episodes, starting from a seed."""
    observations = worlds.reset(seed)
    found: list[Episode] = []
    while len(found) < episodes:
        step = worlds.step(player(observations))
        observations = step.observations
        found += step.episodes
    return found


def mean_returns(make: Callable[[int], VectorWorlds]) -> dict[str, float]:
    """Name -> mean return of `EPISODES` episodes; scripted players play only simple_spread."""
    found = {}
    for reference, name in NAMES.items():
        worlds = make(EPISODES)
        if reference == "random" or worlds.scenario == "simple_spread":
            played = play(worlds, make_player(reference, worlds, SEED), EPISODES, SEED)
            found[name] = float(np.mean([sum(episode.returns) for episode in played]))
    return found


def _random(worlds: VectorWorlds, seed: int) -> Player:
    rng, size = np.random.default_rng(seed), worlds.num_worlds

    def act(observations: Observations) -> list[NDArray[np.generic]]:
        return [
            rng.integers(agent.num_actions, size=size)
            if agent.num_actions
            else rng.uniform(size=(size, agent.action_size)).astype(np.float32)
            for agent in worlds.agents
        ]

    return act


def _discrete(goals: Floats, velocity: Floats) -> list[NDArray[np.generic]]:
    """The push that, with no further push, brings an agent nearest to its goal `LOOK_AHEAD` later.

    Args:
        goals: offsets to the goals [W, N, 2].
    """
    ahead, speed = np.zeros_like(goals)[:, :, None], velocity[:, :, None]
    ahead = ahead + speed * DT  # the body moves first, then the push takes effect
    speed = speed * (1 - DAMPING) + _PUSHES * DT
    for _ in range(LOOK_AHEAD - 1):
        ahead = ahead + speed * DT
        speed = speed * (1 - DAMPING)
    chosen = np.linalg.norm(goals[:, :, None] - ahead, axis=-1).argmin(axis=-1)
    return list(chosen.T)


def _continuous(goals: Floats, velocity: Floats) -> list[NDArray[np.generic]]:
    """Towards the goal on both axes, minus the current motion."""
    push = np.clip(5 * goals - velocity, -1, 1)
    nothing = np.zeros_like(push[..., 0])
    parts = [nothing, -push[..., 0], push[..., 0], -push[..., 1], push[..., 1]]
    actions = np.stack(parts, axis=-1).clip(0, 1).astype(np.float32)
    return list(actions.transpose(1, 0, 2))
