"""A peer's own simple_spread: does it equal ours, and what return does a policy get in it?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

WORLDS = 50
"""Worlds side by side in an evaluation, so that one call of the policy serves them all."""

Act = Callable[[dict[str, NDArray[Any]]], dict[str, NDArray[Any]]]
"""Agent -> observations [B, size] to agent -> actions [B, 5] in the range of the world."""


def difference(env: Any, reference: dict[str, Any]) -> str | None:
    """Play the recorded episode in a PettingZoo `env`; describe the first reward that differs.

    `reference` has "agents" and "landmarks" (positions [N, 2] at the start), "actions"
    [steps, agents, 5] and "rewards" [steps, agents] of our world.
    """
    env.reset(seed=0)
    place(env, reference)
    names = list(env.possible_agents)
    for step, (actions, expected) in enumerate(
        zip(reference["actions"], reference["rewards"], strict=True)
    ):
        chosen = {n: np.asarray(a, np.float32) for n, a in zip(names, actions, strict=True)}
        _, rewards, *_ = env.step(chosen)
        for name, value in zip(names, expected, strict=True):
            if abs(rewards[name] - value) > 1e-4:
                return f"{name} gets {rewards[name]:.5f} at step {step}, in ours {value:.5f}"
    return None if not env.agents else "an episode does not have as many steps as ours"


def place(env: Any, reference: dict[str, Any]) -> None:
    """Put agents and landmarks where the recorded episode began, at rest."""
    world = env.unwrapped.world
    for kind in ("agents", "landmarks"):
        for body, position in zip(getattr(world, kind), reference[kind], strict=True):
            body.state.p_pos = np.array(position, float)
            body.state.p_vel = np.zeros(2)


def play(make: Callable[[], Any], act: Act, episodes: int, seed: int) -> list[float]:
    """Returns of `episodes` episodes, summed over agents and steps; episode i has `seed + i`."""
    envs = [make() for _ in range(min(WORLDS, episodes))]
    returns: list[float] = []
    while len(returns) < episodes:
        active = envs[: episodes - len(returns)]
        first = seed + len(returns)
        returns += _one_each(active, act, [first + i for i in range(len(active))])
    for env in envs:
        env.close()
    return returns


def _one_each(envs: Sequence[Any], act: Act, seeds: Sequence[int]) -> list[float]:
    """One episode in every world; all end at the same step, by time."""
    seen = [env.reset(seed=s)[0] for env, s in zip(envs, seeds, strict=True)]
    names = list(envs[0].possible_agents)
    totals = np.zeros(len(envs))
    while envs[0].agents:
        actions = act({name: np.stack([one[name] for one in seen]) for name in names})
        for i, env in enumerate(envs):
            seen[i], rewards, *_ = env.step({name: actions[name][i] for name in names})
            totals[i] += sum(rewards.values())
    return [float(total) for total in totals]
