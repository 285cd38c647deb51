"""The scenarios written in NumPy, by mpe2's name without its version."""

from __future__ import annotations

from savanna.envs.particle.scenarios.adversary import SimpleAdversary
from savanna.envs.particle.scenarios.alone import Simple
from savanna.envs.particle.scenarios.base import Scenario
from savanna.envs.particle.scenarios.crypto import SimpleCrypto
from savanna.envs.particle.scenarios.push import SimplePush
from savanna.envs.particle.scenarios.reference import SimpleReference
from savanna.envs.particle.scenarios.speaker_listener import SimpleSpeakerListener
from savanna.envs.particle.scenarios.spread import SimpleSpread
from savanna.envs.particle.scenarios.tag import SimpleTag
from savanna.envs.particle.scenarios.world_comm import SimpleWorldComm

SCENARIOS: dict[str, type[Scenario]] = {
    kind.name: kind
    for kind in (
        Simple,
        SimpleSpeakerListener,
        SimpleCrypto,
        SimplePush,
        SimpleTag,
        SimpleSpread,
        SimpleAdversary,
        SimpleReference,
        SimpleWorldComm,
    )
}
