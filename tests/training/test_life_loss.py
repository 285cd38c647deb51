"""`episodic_life`: a lost life ends the episode for learning alone; the game goes on."""

import numpy as np
import pytest

from savanna.algorithms.impala import Impala
from savanna.algorithms.impala.env_runner import AtariEnvRunner
from savanna.envs.atari import Atari, game_goes_on

ENV = "BreakoutNoFrameskip-v4"
SEEDS = np.arange(2, dtype=np.int32)


@pytest.fixture(scope="module")
def played() -> dict:
    """The same random games with and without it, to the end of a few: rows of 300 steps."""
    found = {}
    for episodic_life in (False, True):
        config = (
            Impala.get_default_config()
            .environment(ENV, env_config={"episodic_life": episodic_life})
            .env_runners(num_envs_per_env_runner=len(SEEDS), rollout_fragment_length=300)
            .debugging(seed=5)
        )
        runner = AtariEnvRunner(config=config, worker_index=1)
        runner.env_seeds = lambda: SEEDS
        rng = np.random.default_rng(0)
        runner._act = lambda seen, rng=rng: (rng.integers(0, 4, len(seen)), np.zeros(len(seen)))
        found[episodic_life] = [runner.sample_fragment() for _ in range(3)]
    return found


def test_the_game_itself_is_the_same(played):
    for plain, lives in zip(played[False], played[True], strict=True):
        np.testing.assert_array_equal(plain.frames, lives.frames)
        np.testing.assert_array_equal(plain.rewards, lives.rewards)
        np.testing.assert_array_equal(plain.valid, lives.valid)
        np.testing.assert_array_equal(plain.ages, lives.ages)


def test_learning_sees_an_end_at_every_lost_life(played):
    games, lives = (sum(f.terminated.sum() for f in played[kind]) for kind in (False, True))
    assert games >= 2
    assert lives >= 5 * games, "Breakout has five lives"


def test_episodes_are_whole_games(played):
    games, whole = ([e for f in played[kind] for e in f.episodes] for kind in (False, True))
    assert whole == games
    assert max(episode.episode_return for episode in whole) > 0


def test_a_game_that_ends_with_lives_left_is_over():
    """Adventure does."""
    lives, before = np.asarray([4, 0, 1, 3]), np.asarray([5, 1, 1, 3])
    found = game_goes_on(np.asarray([True, True, True, False]), lives, before)
    assert found.tolist() == [True, False, False, False]


def test_the_checked_game_is_played_to_its_end():
    env = Atari(ENV, {"frame_size": 42, "frame_stack": 4, "episodic_life": True}).make()
    env.reset(seed=0)
    rng, steps, over = np.random.default_rng(0), 0, False
    while not over:
        _, _, over, *_ = env.step(rng.integers(0, 4))
        steps += 1
    assert steps > 100, "five lives"
