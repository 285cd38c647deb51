"""Returns on the scale of the service that this project replaces."""

import numpy as np
import pytest

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.world import old_scale


def old_step(positions, landmarks, size=0.15):
    """The sum of the agents' rewards in one step of the old environment, written out.

    An agent lost the distance from every landmark to whoever was nearest, and 1 for every agent it
    touched, counting itself; and every agent got the sum of all agents' rewards.
    """
    earned = 0.0
    for agent in positions:
        for landmark in landmarks:
            earned -= min(np.linalg.norm(other - landmark) for other in positions)
        for other in positions:
            if np.linalg.norm(other - agent) < 2 * size:
                earned -= 1
    return earned * len(positions)


@pytest.mark.parametrize(("agents", "cycles"), [(3, 25), (2, 25), (4, 10), (1, 5)])
def test_the_same_as_the_old_environment(agents, cycles):
    # One step longer, so that the state after the last one counted is still there.
    worlds = make_worlds("simple_spread", 40, num_agents=agents, max_cycles=cycles + 1)
    worlds.reset(seed=0)
    worlds.physics.position[...] *= 0.5  # more collisions
    worlds.physics.look()
    rng = np.random.default_rng(0)
    old, new, met = np.zeros(40), np.zeros(40), 0
    for _ in range(cycles):
        worlds.step([rng.integers(5, size=40) for _ in range(agents)])
        new += worlds.rewards.sum(axis=0)
        bodies = worlds.physics.position.transpose(2, 1, 0)
        old += [old_step(body[:agents], body[agents:]) for body in bodies]
        met += (worlds.physics.distance[:, :agents] < 0.3).sum() - 40 * agents
    assert met > 20 or agents == 1
    scale = old_scale("simple_spread", agents, cycles)
    np.testing.assert_allclose([scale(total) for total in new], old, rtol=1e-12)


def test_the_known_numbers():
    scale = old_scale("simple_spread")
    assert (scale.factor, scale.constant) == (6, -225)
    assert scale(-29.166666666666668) == pytest.approx(-400)


def test_unknown_elsewhere():
    assert old_scale("simple_tag") is None
    assert old_scale("simple_spread", local_ratio=0.3) is None
