"""What a learner relies on, equal for NumPy worlds and mpe2's own."""

import numpy as np
import pytest

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.scenarios import SCENARIOS
from savanna.errors import UsageError

OTHERS = ["collect_treasure", "simple_formation", "simple_line"]
BACKENDS = [
    *((name, backend) for name in SCENARIOS for backend in ("numpy", "mpe2")),
    *((name, "auto") for name in OTHERS),
]
METRICS = {
    "simple": {"goal_distance"},
    "simple_speaker_listener": {"goal_distance"},
    "simple_crypto": {"bob_right", "eve_right"},
    "simple_push": {"agent_distance", "adversary_distance"},
    "simple_tag": {"catches"},
    "simple_spread": {"landmarks_covered", "collisions", "landmark_distance"},
    "simple_adversary": {"agent_distance", "adversary_distance"},
    "simple_reference": {"goal_distance"},
    "simple_world_comm": {"catches", "food"},
}


def actions_of(worlds, rng):
    if worlds.agents[0].num_actions:
        return [rng.integers(a.num_actions, size=worlds.num_worlds) for a in worlds.agents]
    return [
        rng.uniform(size=(worlds.num_worlds, a.action_size)).astype(np.float32)
        for a in worlds.agents
    ]


@pytest.mark.parametrize(("scenario", "backend"), BACKENDS)
def test_a_world_with_a_seed_of_its_own_begins_as_it_does_among_any_others(scenario, backend):
    def begin(seeds):
        worlds = make_worlds(scenario, len(seeds), backend=backend)
        return np.concatenate(worlds.reset(seeds), axis=1)

    many, turned = begin(list(range(12))), begin([9, 7])
    assert np.array_equal(turned, many[[9, 7]]) and np.array_equal(begin([8])[0], many[8])
    assert len(np.unique(many, axis=0)) > 1
    with pytest.raises(ValueError):
        make_worlds(scenario, 3, backend=backend).reset([7, 8])


@pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])
@pytest.mark.parametrize(("scenario", "backend"), BACKENDS)
def test_contract(scenario, backend, continuous):
    worlds = make_worlds(scenario, 3, max_cycles=4, continuous=continuous, backend=backend)
    rng = np.random.default_rng(0)
    shapes = [(3, spec.observation_size) for spec in worlds.agents]
    assert all((a.num_actions > 0) != (a.action_size > 0) for a in worlds.agents)
    assert {a.team for a in worlds.agents} <= {"good", "adversary"}
    begin = worlds.reset(seed=1)
    assert [seen.shape for seen in begin] == shapes
    earned = np.zeros((3, len(shapes)))
    kept = []
    for t in range(1, 9):
        step = worlds.step(actions_of(worlds, rng))
        assert [seen.shape for seen in step.observations] == shapes
        assert all(seen.dtype == np.float32 for seen in step.observations)
        assert step.rewards.shape == (3, len(shapes)) and step.rewards.dtype == np.float32
        kept.append((step, [seen.copy() for seen in step.observations], step.rewards.copy()))
        earned += step.rewards
        assert step.truncated.tolist() == [t % 4 == 0] * 3
        if t % 4:
            assert step.final_observations is None and step.episodes == []
            continue
        assert [seen.shape for seen in step.final_observations] == shapes
        moved = zip(step.final_observations, step.observations)
        assert any(not np.array_equal(last, new) for last, new in moved)
        assert [episode.world for episode in step.episodes] == [0, 1, 2]
        for w, episode in enumerate(step.episodes):
            assert episode.length == 4
            assert set(episode.metrics) == METRICS.get(scenario, set())
            np.testing.assert_allclose(episode.returns, earned[w], rtol=1e-4, atol=1e-5)
        earned[...] = 0
    for step, observations, rewards in kept:  # what a replay buffer holds is not written to
        assert all(map(np.array_equal, step.observations, observations))
        assert np.array_equal(step.rewards, rewards)


@pytest.mark.parametrize(("scenario", "backend"), BACKENDS)
def test_a_seed_repeats_everything(scenario, backend):
    def rollout(seed):
        worlds = make_worlds(scenario, 2, max_cycles=3, backend=backend)
        seen, rng = worlds.reset(seed), np.random.default_rng(0)
        found = [np.concatenate([s.ravel() for s in seen])]
        for _ in range(7):  # two ends of episodes on the way
            step = worlds.step(actions_of(worlds, rng))
            found += [step.rewards.ravel(), *(s.ravel() for s in step.observations)]
        return np.concatenate(found)

    assert np.array_equal(rollout(1), rollout(1))
    assert not np.array_equal(rollout(1), rollout(2))


def test_worlds_differ_from_each_other_and_start_where_mpe2s_do():
    worlds = make_worlds("simple_tag", 4000)
    worlds.reset(seed=0)
    position = worlds.physics.position
    agents, landmarks = position[:, :4], position[:, 4:]
    assert -1 <= agents.min() < -0.999 and 0.999 < agents.max() <= 1
    assert -0.9 <= landmarks.min() < -0.899 and 0.899 < landmarks.max() <= 0.9
    assert abs(agents.mean()) < 0.02 and abs(agents.var() - 1 / 3) < 0.01
    goals = make_worlds("simple_reference", 3000)
    goals.reset(seed=0)
    assert np.abs(np.bincount(goals.physics.hidden.ravel()) - 2000).max() < 200


@pytest.mark.parametrize("backend", ["numpy", "mpe2"])
def test_actions_that_do_not_exist_are_refused(backend):
    worlds = make_worlds("simple_speaker_listener", 2, backend=backend)
    with pytest.raises(ValueError, match="reset"):
        worlds.step([np.zeros(2, int)] * 2)
    worlds.reset(seed=0)
    with pytest.raises(ValueError, match="speaker_0 are 0 to 2"):
        worlds.step([np.array([0, 3]), np.array([0, 0])])
    with pytest.raises(ValueError, match="listener_0 are 0 to 4"):
        worlds.step([np.array([0, 0]), np.array([0, -1])])
    with pytest.raises(ValueError, match="2 whole numbers"):
        worlds.step([np.zeros(2), np.zeros(2)])
    with pytest.raises(ValueError, match="2 whole numbers"):
        worlds.step([np.zeros(3, int), np.zeros(3, int)])
    continuous = make_worlds("simple_speaker_listener", 2, backend=backend, continuous=True)
    continuous.reset(seed=0)
    with pytest.raises(ValueError, match=r"\[2, 3\], \[2, 5\]"):
        continuous.step([np.zeros((2, 5)), np.zeros((2, 5))])


@pytest.mark.parametrize(
    ("scenario", "options", "message"),
    [
        ("simple_spred", {}, "Did you mean simple_spread?"),
        ("simple_tag", {"num_adversaries": 4}, "4 adversaries among 4 agents"),
        ("simple_tag", {"num_agents": 3, "num_adversaries": 9}, "9 adversaries among 3 agents"),
        ("simple_tag", {"num_adversaries": -1}, "-1 adversaries: simple_tag needs at least 1"),
        ("simple_world_comm", {"num_adversaries": 0}, "simple_world_comm needs at least 1"),
        ("simple_spread", {"num_adversaries": 1}, "1 adversaries: simple_spread has none"),
        ("simple_spread", {"num_agents": 0}, "0 agents: simple_spread needs at least 1"),
        ("simple_push", {"num_adversaries": 2}, "simple_push has exactly 1"),
        ("simple_crypto", {"num_agents": 4}, "simple_crypto has exactly 3"),
        ("simple_spread", {"local_ratio": 1.5}, "between 0 and 1"),
        ("simple_tag", {"local_ratio": 0.5}, "no shared reward"),
        ("simple", {"max_cycles": 0}, "at least 1 step"),
        ("simple", {"backend": "torch"}, "must be one of auto, numpy, mpe2"),
        ("simple_line", {"backend": "numpy"}, "has no NumPy version"),
        ("simple_line", {"num_agents": 3}, "fixed number of agents"),
    ],
)
def test_one_clear_line(scenario, options, message):
    with pytest.raises(UsageError) as caught:
        make_worlds(scenario, 1, **options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_all_problems_at_once():
    with pytest.raises(UsageError) as caught:
        make_worlds("simple_push", 0, num_agents=5, num_adversaries=3, max_cycles=-1)
    assert len(str(caught.value).splitlines()) == 4


def test_no_adversaries_may_be_said():
    assert len(make_worlds("simple_spread", 1, num_adversaries=0).agents) == 3
    assert make_worlds("simple_line", 1, num_adversaries=0).agents
