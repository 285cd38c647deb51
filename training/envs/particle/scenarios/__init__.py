"""The scenarios written in NumPy, by mpe2's name without its version."""

from __future__ import annotations

from training.envs.particle.scenarios.adversary import SimpleAdversary
from training.envs.particle.scenarios.alone import Simple
from training.envs.particle.scenarios.base import Scenario
from training.envs.particle.scenarios.crypto import SimpleCrypto
from training.envs.particle.scenarios.push import SimplePush
from training.envs.particle.scenarios.reference import SimpleReference
from training.envs.particle.scenarios.speaker_listener import SimpleSpeakerListener
from training.envs.particle.scenarios.spread import SimpleSpread
from training.envs.particle.scenarios.tag import SimpleTag
from training.envs.particle.scenarios.world_comm import SimpleWorldComm

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
