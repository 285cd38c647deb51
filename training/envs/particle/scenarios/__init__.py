"""The scenarios written in NumPy, by mpe2's name without its version."""

from __future__ import annotations

from training.envs.particle.scenarios.base import Scenario
from training.envs.particle.scenarios.spread import SimpleSpread

SCENARIOS: dict[str, type[Scenario]] = {kind.name: kind for kind in (SimpleSpread,)}
