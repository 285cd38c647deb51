"""What random and scripted players score in a run's world, to see beside the agents."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from savanna.envs.multi_agent import worlds_of
from savanna.envs.particle.references import REFERENCES, make_player, play

EPISODES = 500
NAMES = {"random": "random play", "fixed": "fixed assignment", "best": "best assignment"}


def measure_references(config: Mapping[str, Any], seed: int = 10_000) -> dict[str, float]:
    """Name -> mean return of `EPISODES` episodes; scripted players know simple_spread only."""
    found = {}
    for name in REFERENCES:
        worlds = worlds_of(config, EPISODES)
        if name != "random" and worlds.scenario != "simple_spread":
            continue
        played = play(worlds, make_player(name, worlds, seed), EPISODES, seed)
        found[NAMES[name]] = float(np.mean([sum(episode.returns) for episode in played]))
    return found
