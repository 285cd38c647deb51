"""Gymnasium environments are learned, each clearly better than random play."""

import pytest
from learning import learned


@pytest.mark.parametrize(
    ("build", "env", "steps", "enough"),
    [
        ("impala", "CartPole-v1", 100_000, 150),  # random: 22
        ("impala", "Acrobot-v1", 150_000, -150),  # random: -500
        ("impala", "Pendulum-v1", 300_000, -600),  # random: -1200
        ("ppo", "CartPole-v1", 60_000, 150),
        ("ppo", "Pendulum-v1", 100_000, -800),
    ],
)
def test_it_learns(build, env, steps, enough, tmp_path):
    assert learned(tmp_path, build, env, steps, enough) >= enough
