"""One particle world as RLlib's multi-agent environment, for RLlib's own algorithms."""

from __future__ import annotations

from typing import Any

import numpy as np
from ray.rllib.env.multi_agent_env import MultiAgentEnv

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.numpy_worlds import NumpyWorlds

MEASURED = "measured"
"""Key of the first agent's info at an episode's end: `Episode.measured` of the world."""


class RLlibWorld(MultiAgentEnv):
    """Rewards and observations are mpe2's; episodes end by truncation."""

    def __init__(self, scenario: str, settings: dict[str, Any]) -> None:
        super().__init__()
        self._worlds = make_worlds(scenario, 1, **settings)
        # Pickled, mpe2's worlds become recipes for new ones.
        self.metadata = {"render_modes": [], "picklable": isinstance(self._worlds, NumpyWorlds)}
        specs = self._worlds.agents
        self.agents = self.possible_agents = [agent.name for agent in specs]
        self.observation_spaces = {agent.name: agent.spaces[0] for agent in specs}
        self.action_spaces = {agent.name: agent.spaces[1] for agent in specs}
        self._next: dict[str, Any] | None = None  # of the episode that has already begun

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        following, self._next = self._next, None
        if following is None or seed is not None:
            following = self._named(self._worlds.reset(seed))
        return following, {}

    def step(self, action_dict: dict[str, Any]) -> tuple[dict[str, Any], ...]:
        actions = [np.asarray(action_dict[name])[None] for name in self.agents]
        step = self._worlds.step(actions)
        ended = bool(step.truncated[0])
        observations = self._named(step.final_observations or step.observations)
        infos: dict[str, dict[str, Any]] = {}
        if ended:
            self._next = self._named(step.observations)
            [episode] = step.episodes
            infos[self.agents[0]] = {MEASURED: episode.measured(self._worlds.agents)}
        rewards = dict(zip(self.agents, step.rewards[0].tolist(), strict=True))
        everyone = (*self.agents, "__all__")
        return (
            observations,
            rewards,
            dict.fromkeys(everyone, False),
            dict.fromkeys(everyone, ended),
            infos,
        )

    def _named(self, observations: list[Any]) -> dict[str, Any]:
        return {name: seen[0] for name, seen in zip(self.agents, observations, strict=True)}
