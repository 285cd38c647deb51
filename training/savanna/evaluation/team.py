"""All agents of a particle world out of a checkpoint, and episodes that they play."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from savanna.envs.multi_agent import module_names, worlds_of
from savanna.envs.particle.world import Episode, VectorWorlds
from savanna.evaluation.policy import Policy, load_policy

EVALUATION = 2**32 - 1
"""Sets the seeds of evaluation apart from those that training draws."""


@dataclass(frozen=True)
class Team:
    """A policy for each agent, in the world's order."""

    policies: tuple[Policy, ...]

    def act(
        self, observations: Sequence[NDArray[Any]], rng: np.random.Generator | None = None
    ) -> list[NDArray[Any]]:
        """Per agent `[B, size]` -> per agent `[B]`, or `[B, action size]` where continuous."""
        return [
            policy.act(seen, rng) for policy, seen in zip(self.policies, observations, strict=True)
        ]


def load_team(checkpoint: Path, config: Mapping[str, Any]) -> Team:
    """The agents of a checkpoint folder; `config` is the run's `config.json`. Raises as
    `load_policy` does."""
    agents = worlds_of(config, 1).agents
    names = module_names(agents, shared=bool(config["rllib"].get("share_parameters")))
    noise = float(config["rllib"].get("exploration_noise", 0.0))
    policies = {
        name: replace(load_policy(checkpoint, name), noise=noise) for name in dict.fromkeys(names)
    }
    return Team(tuple(policies[name] for name in names))


def team_of(algorithm: Any) -> Team:
    """The agents of an algorithm that is being trained, as they are now: copies on the CPU."""
    config = algorithm.config
    agents = worlds_of({"env": config.env, "env_config": config.env_config}, 1).agents
    module = algorithm.learner_group._learner.module
    names = module_names(agents, shared=config.share_parameters)
    policies = {
        name: Policy(copy.deepcopy(module[name].unwrapped()).to("cpu"))
        for name in dict.fromkeys(names)
    }
    return Team(tuple(policies[name] for name in names))


def episode_seeds(seed: int, count: int) -> list[int]:
    """Of worlds that play the episodes `seed`, `seed + 1`, ...: the same whatever their number,
    and not those that a run with one of these numbers as its seed trains with."""
    numbers = [np.random.SeedSequence([EVALUATION, seed + i]) for i in range(count)]
    return [int(number.generate_state(1)[0]) for number in numbers]


def play_worlds(
    team: Team, worlds: VectorWorlds, seed: int, explore: bool = False
) -> list[Episode]:
    """One episode in every world, number `seed + i` in world i."""
    rng = np.random.default_rng(seed) if explore else None
    observations = worlds.reset(episode_seeds(seed, worlds.num_worlds))
    while True:
        step = worlds.step(team.act(observations, rng))
        observations = step.observations
        if step.episodes:
            return step.episodes
