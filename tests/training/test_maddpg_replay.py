"""The replay buffer, and the rows that env runners make for it."""

import numpy as np
import pytest

from savanna.algorithms.maddpg.fragment import make_rows
from savanna.algorithms.maddpg.replay import Replay


def rows(*numbers):
    return np.array([[n, n] for n in numbers], np.float32)


def test_the_oldest_rows_are_overwritten():
    replay = Replay(4, 2)
    replay.add(rows(1, 2, 3))
    assert len(replay) == 3
    replay.add(rows(4, 5, 6))
    assert len(replay) == 4 and replay.added == 6
    assert sorted(replay.rows[:, 0]) == [3, 4, 5, 6]
    replay.add(rows(7))
    assert sorted(replay.rows[:, 0]) == [4, 5, 6, 7]
    replay.add(rows(*range(10, 19)))  # more than there is room for
    assert sorted(replay.rows[:, 0]) == [15, 16, 17, 18]


def test_only_rows_that_are_there_are_drawn_and_all_of_them():
    replay = Replay(100, 2, seed=1)
    replay.add(rows(1, 2, 3))
    drawn = replay.sample(300)
    assert drawn.shape == (300, 2)
    assert sorted(set(drawn[:, 0].tolist())) == [1, 2, 3]


def plain_rows(rewards, truncated, following, gamma, n_step):
    """n-step sums, discounts and bootstrap states, one by one."""
    steps, worlds, _ = rewards.shape
    for start in range(steps):
        for world in range(worlds):
            total, step = np.zeros(rewards.shape[2]), start
            while True:
                total += gamma ** (step - start) * rewards[step, world]
                if truncated[step, world] or step - start == n_step - 1 or step == steps - 1:
                    break
                step += 1
            yield total, gamma ** (step - start + 1), following[step, world]


@pytest.mark.parametrize("n_step", [1, 2, 5])
def test_rows_look_ahead_to_the_end_of_episode_or_fragment(n_step):
    rng = np.random.default_rng(n_step)
    steps, worlds, agents = 7, 3, 2
    observations = rng.normal(size=(steps, worlds, 4)).astype(np.float32)
    following = rng.normal(size=(steps, worlds, 4)).astype(np.float32)
    actions = rng.integers(0, 5, (steps, worlds, agents)).astype(np.float32)
    rewards = rng.normal(size=(steps, worlds, agents)).astype(np.float32)
    truncated = rng.random((steps, worlds)) < 0.25
    found = make_rows(
        observations, actions, rewards, truncated, following, gamma=0.9, n_step=n_step
    )
    assert found.shape == (steps * worlds, 4 + 2 + 2 + 1 + 4) and found.dtype == np.float32
    np.testing.assert_array_equal(found[:, :4], observations.reshape(-1, 4))
    np.testing.assert_array_equal(found[:, 4:6], actions.reshape(-1, 2))
    plain = plain_rows(rewards, truncated, following, 0.9, n_step)
    for row, (total, discount, last) in zip(found, plain, strict=True):
        np.testing.assert_allclose(row[6:8], total, rtol=1e-5)
        assert row[8] == pytest.approx(discount)
        np.testing.assert_array_equal(row[9:], last)
    assert (found[:, 8] > 0).all(), "truncation is not termination"
