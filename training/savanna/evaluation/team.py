"""All agents of an environment from a checkpoint; a single agent is a team of one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from savanna.envs.families import environment_of
from savanna.evaluation.policy import Policy, load_policy


@dataclass(frozen=True)
class Team:
    """A policy for each agent, in the environment's order."""

    policies: tuple[Policy, ...]
    names: tuple[str, ...] = ()  # of each agent's network

    def act(
        self, observations: Sequence[NDArray[Any]], rng: np.random.Generator | None = None
    ) -> list[NDArray[Any]]:
        """Per agent `[B, ...]` -> per agent `[B]`, or `[B, action size]` if continuous."""
        return [
            policy.act(seen, rng) for policy, seen in zip(self.policies, observations, strict=True)
        ]


def load_team(checkpoint: Path, config: Mapping[str, Any]) -> Team:
    """The agents in a checkpoint folder; `config` is the run's `config.json`. Raises the same
    errors as `load_policy`."""
    rllib = config.get("rllib", {})
    noise = float(rllib.get("exploration_noise", 0.0))
    return _team(config, rllib, lambda name: replace(load_policy(checkpoint, name), noise=noise))


def team_of(algorithm: Any) -> Team:
    """The current agents of an algorithm during training, as copies on the CPU."""
    config = vars(algorithm.config)
    module = algorithm.learner_group._learner.module
    return _team(
        config, config, lambda name: Policy(copy.deepcopy(module[name].unwrapped()).to("cpu"))
    )


def _team(
    config: Mapping[str, Any], rllib: Mapping[str, Any], policy_of: Callable[[str], Policy]
) -> Team:
    names = environment_of(config).networks(shared=bool(rllib.get("share_parameters")))
    policies = {name: policy_of(name) for name in dict.fromkeys(names)}
    return Team(tuple(policies[name] for name in names), names)
