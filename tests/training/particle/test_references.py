"""The scripted players, through the same interface as a learner."""

import numpy as np
import pytest

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.references import REFERENCES, make_player, play
from savanna.envs.particle.world import old_scale


@pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])
def test_in_order_and_about_as_good_as_measured(continuous):
    scale = old_scale("simple_spread")
    found = {}
    for name in REFERENCES:
        worlds = make_worlds("simple_spread", 100, continuous=continuous)
        episodes = play(worlds, make_player(name, worlds, 1), 1000, seed=1)
        assert len(episodes) == 1000
        found[name] = np.mean([scale(sum(episode.returns)) for episode in episodes])
    measured = {"random": -678, "fixed": -377, "best": -337}
    if not continuous:
        measured = {"random": -702, "fixed": -416, "best": -360}
    assert found == pytest.approx(measured, abs=15)


def test_best_shares_out_and_fixed_does_not():
    worlds = make_worlds("simple_spread", 1, max_cycles=100)
    for name, ends in (("fixed", [0, 1, 2]), ("best", [2, 0, 1])):
        worlds.reset(0)
        places = [(-0.8, 0.5), (0, 0.5), (0.8, 0.5), (0, 0.4), (0.8, 0.6), (-0.8, 0.4)]
        worlds.physics.position[:, :, 0] = np.transpose(places)
        worlds.physics.look()
        observations, player = worlds._observe(), make_player(name, worlds)
        for _ in range(40):
            observations = worlds.step(player(observations)).observations
        assert worlds.physics.distance[:, 3:, 0].argmin(axis=1).tolist() == ends
        assert (worlds.physics.distance[np.arange(3), np.add(ends, 3), 0] < 0.1).all()


def test_any_number_of_agents_and_random_anywhere():
    worlds = make_worlds("simple_spread", 3, num_agents=5)
    assert len(play(worlds, make_player("best", worlds), 4)) == 6  # whole rounds of worlds
    for continuous in (False, True):
        tag = make_worlds("simple_world_comm", 2, continuous=continuous)
        assert len(play(tag, make_player("random", tag), 2)) == 2
    with pytest.raises(ValueError, match="simple_spread, not simple_tag"):
        make_player("best", make_worlds("simple_tag", 1))
