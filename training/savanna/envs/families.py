"""The families of environments, and which one a name belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savanna.envs.atari import Atari
from savanna.envs.doom import Doom
from savanna.envs.environment import Environment
from savanna.envs.gymnasium_env import Gymnasium
from savanna.envs.particle.family import Particle

FAMILIES: tuple[type[Environment], ...] = (Atari, Particle, Doom, Gymnasium)


def family_of(name: str) -> type[Environment]:
    """The family of the environment `name`: Gymnasium, unless another one recognises it."""
    return next((family for family in FAMILIES[:-1] if family.recognises(name)), Gymnasium)


def environment_of(config: Mapping[str, Any]) -> Environment:
    """The environment of a run's `config.json`."""
    name = str(config.get("env") or "")
    return family_of(name)(name, config.get("env_config") or {})
