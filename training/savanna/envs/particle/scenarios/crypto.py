"""simple_crypto: Alice tells Bob a secret with a key they share; Eve listens without it."""

from __future__ import annotations

from typing import Any

import numpy as np

from savanna.envs.particle.physics import Array, Body, Physics, Rows
from savanna.envs.particle.picture import ADVERSARY, GOOD, GREEN, INK, Disc
from savanna.envs.particle.scenarios.base import Count, Scenario, heard, speech_of

EVE, BOB, ALICE = 0, 1, 2
SECRET, KEY = 0, 1


class SimpleCrypto(Scenario):
    name = "simple_crypto"
    default = Count(agents=3, adversaries=1)
    words = 4
    num_hidden = 2  # the secret and the key, each one of the first two words
    counts = ("bob_right", "eve_right")

    def __init__(self, count: Count, local_ratio: float = 0.5) -> None:
        super().__init__(count, local_ratio)
        self.agents = (
            Body("eve_0", moves=False, speaks=True, team="adversary"),
            Body("bob_0", moves=False, speaks=True),
            Body("alice_0", moves=False, speaks=True),
        )
        self.landmarks = tuple(Body(f"landmark {i}") for i in range(2))

    def extra(self) -> dict[str, tuple[int, ...]]:
        return {"secret": (4,), "key": (4,)}

    def begin(self, physics: Physics) -> None:
        for name, chosen in zip(("secret", "key"), physics.hidden, strict=True):
            physics.extra[name][...] = np.eye(4)[:, chosen]

    def observed(self, physics: Physics, agent: int) -> list[Rows]:
        rows, said = physics.rows, speech_of(physics, [ALICE])
        return {EVE: [said], BOB: [rows["key"], said], ALICE: [rows["secret"], rows["key"]]}[agent]

    def score(self, physics: Physics, rewards: Array, counts: Array) -> None:
        guesses = physics.speech[: BOB + 1]  # [2, 4, W]
        spoken = guesses.any(axis=1)
        wrong = np.square(guesses - physics.extra["secret"]).sum(axis=1) * spoken
        rewards[EVE] = -wrong[EVE]
        rewards[BOB:] = wrong[EVE] - wrong[BOB]
        right = (guesses.argmax(axis=1) == physics.hidden[SECRET]) & spoken
        counts[0], counts[1] = right[BOB], right[EVE]

    def metrics(self, physics: Physics, totals: Array, steps: int) -> dict[str, Array]:
        return {"bob_right": totals[0] / steps, "eve_right": totals[1] / steps}

    def hidden_in(self, world: Any) -> list[int]:
        return [
            world.landmarks.index(world.agents[EVE].goal_a),
            int(world.agents[ALICE].key.argmax()),
        ]

    def picture(self, physics: Physics, world: int) -> tuple[list[Disc], list[str]]:
        """Nobody moves, so each has a fixed place; a green ring marks those who are right."""
        secret, key = ("AB"[chosen] for chosen in physics.hidden[:, world])
        places = {EVE: (0.0, 0.1), BOB: (0.7, 0.7), ALICE: (-0.7, 0.7)}
        discs, captions = [], [f"the secret is {secret}, the key {key}"]
        for agent in (ALICE, BOB, EVE):
            speech, body = physics.speech[agent, :, world], self.agents[agent]
            (x, y), name = places[agent], body.name[:-2].title()
            if agent != ALICE and speech.any() and speech.argmax() == physics.hidden[SECRET, world]:
                discs.append(Disc(x, y, 0.28, GREEN, shape="ring"))
            colour = ADVERSARY if agent == EVE else GOOD if agent == BOB else INK
            discs.append(Disc(x, y, 0.22, colour, name[0]))
            captions.append(f"{name} {'says' if agent == ALICE else 'guesses'} {heard(speech)}")
        return discs, captions
