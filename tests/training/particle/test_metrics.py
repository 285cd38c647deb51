"""Metrics of an episode, in worlds set up by hand and against mpe2's own counts."""

import numpy as np
import pytest

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.mpe2_worlds import copy_state, mpe2_module


def metrics_of(scenario, positions, hidden=(), actions=None, **options):
    """Metrics of an episode of two steps that starts from rest at these places (agents,
    landmarks)."""
    worlds = make_worlds(scenario, 2, max_cycles=2, **options)
    worlds.reset(seed=0)
    physics = worlds.physics
    physics.position[:, :, 0] = np.transpose(positions)
    physics.hidden[:, 0] = hidden
    worlds.kind.refresh(physics)
    chosen = actions or [0] * len(worlds.agents)
    for _ in range(2):
        step = worlds.step([np.full(2, action) for action in chosen])
    return step.episodes[0].metrics


def test_spread():
    places = [(0, 0), (0.05, 0.7), (0.9, 0.9)]
    found = metrics_of("simple_spread", [*places, (0.06, 0), (0.9, 0.98), (0.05, -0.6)])
    assert found["landmarks_covered"] == 2 and found["collisions"] == 0
    assert found["landmark_distance"] == pytest.approx((0.06 + 0.08 + 0.6021) / 3, abs=1e-4)


def test_spread_counts_a_pair_once_a_step():
    places = [(0, 0), (0.2, 0), (0.9, 0.9), (-0.9, 0.9), (0.9, -0.9), (-0.9, -0.9)]
    assert metrics_of("simple_spread", places)["collisions"] == 1  # then they have bounced off


def test_distances_to_goals():
    simple = metrics_of("simple", [(0, 0), (0.3, 0.4)])
    assert simple == {"goal_distance": pytest.approx(0.5)}
    places = [(0, 0), (1, 1), (1, 0.5), (0, 0), (-1, -1)]
    assert metrics_of("simple_speaker_listener", places, [0])["goal_distance"] == 0.5
    two = [(0, 0), (1, 0), (0, 0.2), (1, 0.4), (-1, -1)]
    # Agent 0 knows where agent 1 has to go, and the other way round.
    assert metrics_of("simple_reference", two, [1, 0])["goal_distance"] == pytest.approx(0.3)
    away = metrics_of("simple_reference", two, [0, 1])["goal_distance"]
    assert away == pytest.approx(np.hypot(1, 0.2) / 2 + np.hypot(1, 0.4) / 2)


@pytest.mark.parametrize("scenario", ["simple_adversary", "simple_push"])
def test_against_an_adversary(scenario):
    agents = [(0.5, 0), (0, 0.7)] if scenario == "simple_push" else [(0.5, 0), (0, 0.7), (0, 0.9)]
    found = metrics_of(scenario, [*agents, (1, 1), (0, 0)], [1])
    assert found == {"agent_distance": pytest.approx(0.7), "adversary_distance": 0.5}


def test_crypto():
    places = [(0, 0)] * 5
    found = metrics_of("simple_crypto", places, [1, 0], actions=[0, 1, 3])
    assert found == {"bob_right": 1, "eve_right": 0}
    found = metrics_of("simple_crypto", places, [0, 0], actions=[0, 1, 3])
    assert found == {"bob_right": 0, "eve_right": 1}


def test_catches_and_food():
    far = [(-0.9, -0.9), (0.9, 0.9)]
    chase = [(0, 0), (0.5, 0.5), (-0.5, 0.5), (0.12, 0)]
    assert metrics_of("simple_tag", [*chase, *far])["catches"] == 1  # pushed apart after a step
    agents = [(0, 0), (0.5, 0.5), (-0.5, 0.5), (0.5, -0.5), (0.11, 0), (0, -0.5)]
    rest = [(-0.9, -0.9), (0, -0.51), (0.9, 0.9), (-0.9, 0.9), (0.9, -0.9)]
    assert metrics_of("simple_world_comm", [*agents, *rest]) == {"catches": 1, "food": 2}


def test_spread_as_mpe2_counts():
    worlds = make_worlds("simple_spread", 1)
    env = mpe2_module("simple_spread").parallel_env()
    theirs, scenario = env.unwrapped.world, env.unwrapped.scenario
    rng = np.random.default_rng(0)
    met = covered = 0
    for seed in range(60):
        worlds.reset(0)
        env.reset(seed=seed)
        for body in theirs.entities:
            body.state.p_pos *= 0.3
        copy_state(theirs, worlds.kind, worlds.physics, 0)
        worlds.kind.refresh(worlds.physics)
        collisions, distance = 0, 0.0
        for _ in range(25):
            actions = rng.integers(5, size=3)
            step = worlds.step(list(actions[:, None]))
            env.step(dict(zip(env.possible_agents, actions)))
            data = [scenario.benchmark_data(agent, theirs) for agent in theirs.agents]
            collisions += sum(counted for _, counted, _, _ in data)
            _, _, distances, occupied = data[0]
            distance += distances / 3 / 25
        found = step.episodes[0].metrics
        assert found["collisions"] == collisions / 2  # both of a pair count it there
        assert found["landmarks_covered"] == occupied
        assert found["landmark_distance"] == pytest.approx(distance)
        met, covered = met + collisions, covered + occupied
    assert met > 20 and covered > 3
