"""The interface of particle worlds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import gymnasium as gym


@dataclass(frozen=True)
class AgentSpec:
    """One agent of a world."""

    name: str  # mpe2's: "agent_0", "adversary_0"
    team: str  # "good" or "adversary"
    observation_size: int
    num_actions: int
    """Number of discrete actions; 0 if actions are continuous. An agent that moves and speaks
    chooses `5 * word + move`."""
    action_size: int
    """Number of continuous actions, each in 0..1; 0 if actions are discrete."""

    @property
    def spaces(self) -> tuple[gym.Space[Any], gym.Space[Any]]:
        """Gymnasium's spaces of its observations and actions."""
        from gymnasium.spaces import Box, Discrete

        choices, size = self.num_actions, self.action_size
        actions = Discrete(choices) if choices else Box(0.0, 1.0, (size,), np.float32)
        return Box(-np.inf, np.inf, (self.observation_size,), np.float32), actions


def module_names(agents: Sequence[AgentSpec], *, shared: bool) -> tuple[str, ...]:
    """The name of each agent's network: its own name, or that of the first agent of its kind.

    Agents of one kind have the same role, team, observation size and actions. The role is in the
    name: `alice_0` and `bob_0` of simple_crypto see equally much, but not the same.
    """
    if not shared:
        return tuple(agent.name for agent in agents)
    kinds = [
        (a.name.rpartition("_")[0], a.team, a.observation_size, a.num_actions, a.action_size)
        for a in agents
    ]
    return tuple(agents[kinds.index(kind)].name for kind in kinds)


@dataclass(frozen=True)
class Episode:
    """One finished episode of one world."""

    returns: tuple[float, ...]
    """The sum of each agent's rewards, on mpe2's scale."""
    length: int
    metrics: dict[str, float]
    """What the scenario counts; `docs/particle.md` explains each."""
    world: int

    def measured(self, agents: Sequence[AgentSpec]) -> dict[str, float]:
        """`metrics`, and the returns of both teams if there are two."""
        teams: dict[str, float] = {}
        for agent, value in zip(agents, self.returns, strict=True):
            name = f"{agent.team}_return"
            teams[name] = teams.get(name, 0.0) + value
        return self.metrics | (teams if len(teams) > 1 else {})


@dataclass(frozen=True)
class Step:
    """What every world returned; the caller may keep the arrays.

    Worlds start a new episode in the step that ends one. The end is always a truncation: states at
    the end of an episode are worth as much as others.
    """

    observations: list[NDArray[np.float32]]
    """Per agent [num_worlds, observation_size]; after an end, those of the new episode."""
    rewards: NDArray[np.float32]  # [num_worlds, num_agents], mpe2's scale
    truncated: NDArray[np.bool_]  # [num_worlds]
    final_observations: list[NDArray[np.float32]] | None
    """The true last observations where `truncated`, else those of `observations`; `None` if no
    world ended."""
    episodes: list[Episode]
    """The episodes that ended in this step."""


class VectorWorlds(Protocol):
    """Worlds of one scenario side by side."""

    scenario: str
    num_worlds: int
    max_cycles: int
    agents: tuple[AgentSpec, ...]

    def reset(self, seed: int | Sequence[int] | None = None) -> list[NDArray[np.float32]]:
        """Start new episodes in all worlds; a seed makes everything that follows reproducible.

        With one seed per world, each world starts the same, whatever the others are.
        """

    def step(self, actions: list[NDArray[Any]]) -> Step:
        """Act once in every world.

        Args:
            actions: per agent, whole numbers [num_worlds] below its `num_actions`, or floats
                [num_worlds, action_size], which are clipped to 0..1.

        Raises:
            ValueError: a wrong shape or type, or an action that does not exist.
        """

    def frame(self, world: int = 0, size: int = 350) -> NDArray[np.uint8]:
        """A picture [size, size, 3] of the current state of one world."""


@dataclass(frozen=True)
class OldScale:
    """`factor * (sum over agents and steps of mpe2's reward) + constant`."""

    factor: float
    constant: float

    def __call__(self, total: float) -> float:
        return self.factor * total + self.constant


def old_scale(
    scenario: str, num_agents: int | None = None, max_cycles: int = 25, local_ratio: float = 0.5
) -> OldScale | None:
    """From mpe2's returns to those of the service this one replaces; `None` if unknown.

    There, every agent of simple_spread got the sum of what all had earned: per step and agent, the
    distances to cover and one for every agent it touches, itself included. With G the (negative)
    sum of distances and P the number of touching pairs, N agents had N(NG - N - 2P) per step; in
    mpe2 (local ratio 0.5) they have NG/2 - P. For three agents and 25 steps: 6 x sum - 225.
    """
    if scenario != "simple_spread" or local_ratio != 0.5:
        return None
    agents = 3 if num_agents is None else num_agents
    return OldScale(2.0 * agents, -float(agents * agents * max_cycles))
