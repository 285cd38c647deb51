"""Pictures, looked at pixel by pixel."""

import numpy as np
import pytest

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.picture import ADVERSARY, AMBER, FOREST, GOOD, GREEN, GREY, INK
from savanna.envs.particle.scenarios import SCENARIOS


def has(picture, colour, at_least=5):
    return (np.abs(picture.astype(int) - colour).max(axis=-1) <= 2).sum() >= at_least


@pytest.mark.parametrize("backend", ["numpy", "mpe2"])
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_world_is_drawn_and_moves(scenario, backend):
    worlds = make_worlds(scenario, 2, backend=backend)
    with pytest.raises(ValueError, match="reset"):
        worlds.frame()
    worlds.reset(seed=3)
    before = worlds.frame()
    assert before.shape == (350, 350, 3) and before.dtype == np.uint8
    assert np.array_equal(before, worlds.frame())
    assert not np.array_equal(before, worlds.frame(world=1)) or scenario == "simple_crypto"
    assert worlds.frame(size=96).shape == (96, 96, 3)
    rng = np.random.default_rng(0)
    for _ in range(5):
        worlds.step([rng.integers(spec.num_actions, size=2) for spec in worlds.agents])
    assert not np.array_equal(before, worlds.frame())


def test_both_backends_draw_the_same():
    from savanna.envs.particle.mpe2_worlds import copy_state

    theirs = make_worlds("simple_world_comm", 1, backend="mpe2")
    theirs.reset(seed=0)
    ours = make_worlds("simple_world_comm", 1)
    ours.reset(seed=0)
    assert not np.array_equal(ours.frame(), theirs.frame())
    copy_state(theirs.envs[0].unwrapped.world, ours.kind, ours.physics, 0)
    ours.kind.refresh(ours.physics)
    assert np.array_equal(ours.frame(), theirs.frame())


@pytest.mark.parametrize(
    ("scenario", "colours"),
    [
        ("simple_tag", [GOOD, ADVERSARY, INK]),
        ("simple_world_comm", [GOOD, ADVERSARY, INK, AMBER, FOREST]),
        ("simple_adversary", [GOOD, ADVERSARY, GREEN, GREY]),
        ("simple_push", [GOOD, ADVERSARY, GREEN, GREY]),
        ("simple_crypto", [GOOD, ADVERSARY, INK]),
    ],
)
def test_colours_say_who_is_who(scenario, colours):
    worlds = make_worlds(scenario, 1)
    worlds.reset(seed=3)
    assert all(has(worlds.frame(), colour) for colour in colours)


def test_a_body_is_where_it_is_and_a_covered_landmark_is_green():
    worlds = make_worlds("simple_spread", 1)
    worlds.reset(seed=0)
    places = [(0.6, 0.6), (-0.6, 0.6), (0.6, -0.6), (-0.6, -0.6), (0, 0), (0.95, 0)]
    worlds.physics.position[:, :, 0] = np.transpose(places)
    worlds.physics.look()
    picture = worlds.frame(size=240)  # 100 pixels a unit: the view is 1.2 in each direction
    assert has(picture[54:66, 176:184], GOOD)  # agent 0, upper right
    assert not has(picture[170:190, 50:70], GOOD) and has(picture[175:185, 55:65], GREY)
    assert not has(picture, GREEN)
    worlds.physics.position[:, 0, 0] = (-0.58, -0.6)
    worlds.physics.look()
    assert has(worlds.frame(size=240)[175:185, 55:65], GREEN)


def test_a_body_far_outside_is_still_seen():
    worlds = make_worlds("simple", 1)
    worlds.reset(seed=0)
    worlds.physics.position[:, 0, 0] = (5, -7)
    assert has(worlds.frame(), GOOD, at_least=2)


@pytest.mark.parametrize("scenario", ["collect_treasure", "simple_formation", "simple_line"])
def test_worlds_that_only_mpe2_has(scenario):
    worlds = make_worlds(scenario, 1)
    worlds.reset(seed=0)
    before = worlds.frame()
    worlds.step([np.array([2]) for _ in worlds.agents])
    worlds.step([np.array([2]) for _ in worlds.agents])
    assert not np.array_equal(before, worlds.frame())
