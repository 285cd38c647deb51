"""Every NumPy world compared with mpe2's own, step by step, from the same states and actions."""

import numpy as np
import pytest

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.mpe2_worlds import copy_state, mpe2_module
from savanna.envs.particle.scenarios import SCENARIOS

WORLDS, CYCLES = 4, 25
CLOSER = (1, 0.3, 0.1, 0.1)
"""Episodes: where bodies start, as a fraction of the usual range, so that they touch."""
OTHER_COUNTS = {
    "simple_spread": [{"num_agents": 5, "local_ratio": 0.2}, {"num_agents": 1}],
    "simple_reference": [{"local_ratio": 0.9}],
    "simple_adversary": [{"num_agents": 5}],
    "simple_tag": [{"num_agents": 5, "num_adversaries": 2}, {"num_agents": 6}],
    "simple_world_comm": [
        {"num_agents": 5, "num_adversaries": 1},
        {"num_agents": 3, "num_adversaries": 2},
    ],
}
CASES = [
    pytest.param(name, options, id="-".join([name, *(f"{k}={v}" for k, v in options.items())]))
    for name in SCENARIOS
    for options in [{}, *OTHER_COUNTS.get(name, [])]
]


@pytest.mark.parametrize("continuous", [False, True], ids=["discrete", "continuous"])
@pytest.mark.parametrize(("scenario", "options"), CASES)
def test_same_as_mpe2(scenario, options, continuous):
    ours = make_worlds(
        scenario, WORLDS, continuous=continuous, max_cycles=CYCLES, backend="numpy", **options
    )
    theirs = [
        mpe2_module(scenario).parallel_env(
            continuous_actions=continuous, max_cycles=CYCLES, **ours.kind.mpe2_options()
        )
        for _ in range(WORLDS)
    ]
    names = theirs[0].possible_agents
    assert [spec.name for spec in ours.agents] == names
    for spec in ours.agents:
        space = theirs[0].action_space(spec.name)
        sizes = (0, space.shape[0]) if continuous else (space.n, 0)
        assert (spec.num_actions, spec.action_size) == sizes
    rng = np.random.default_rng(1)
    contacts = 0
    for episode, closer in enumerate(CLOSER):
        ours.reset()
        for w, env in enumerate(theirs):
            env.reset(seed=WORLDS * episode + w)
            for body in env.unwrapped.world.entities:
                body.state.p_pos *= closer
            copy_state(env.unwrapped.world, ours.kind, ours.physics, w)
        ours.kind.refresh(ours.physics)
        seen = [{name: env.unwrapped.observe(name) for name in names} for env in theirs]
        same_observations(ours._observe(), seen, names)
        for t in range(CYCLES):
            contacts += touching(ours.physics)
            if t % 6 == 0:  # kept for a while, so that bodies get fast and far
                actions = random_actions(ours, rng)
            step = ours.step(actions)
            for w, env in enumerate(theirs):
                mine = [np.clip(a[w], 0, 1) if continuous else a[w] for a in actions]
                seen[w], rewards, *_ = env.step(dict(zip(names, mine)))
                expected = [rewards[name] for name in names]
                np.testing.assert_allclose(ours.rewards[:, w], expected, rtol=1e-9, atol=1e-9)
                np.testing.assert_allclose(step.rewards[w], expected, rtol=1e-6, atol=1e-9)
            last = t == CYCLES - 1
            assert step.truncated.all() == last
            same_observations(step.final_observations if last else step.observations, seen, names)
    collide = sum(body.collides for body in ours.kind.agents)
    assert contacts > 5 or collide < 2


def same_observations(ours, theirs, names):
    for w, seen in enumerate(theirs):
        for mine, name in zip(ours, names):
            expected = seen[name]
            assert mine.dtype == expected.dtype == np.float32
            np.testing.assert_allclose(mine[w], expected, rtol=1e-6, atol=1e-9, err_msg=name)


def random_actions(worlds, rng):
    """Uniform; continuous ones go beyond 0..1 too."""
    if worlds.agents[0].num_actions:
        return [rng.integers(a.num_actions, size=worlds.num_worlds) for a in worlds.agents]
    shapes = [(worlds.num_worlds, spec.action_size) for spec in worlds.agents]
    return [rng.uniform(-0.2, 1.2, shape).astype(np.float32) for shape in shapes]


def touching(physics):
    gap = physics.distance[physics._one, physics._other] - physics._contact
    return int((gap < 0).sum())
