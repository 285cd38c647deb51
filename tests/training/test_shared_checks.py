"""Every algorithm of ours refuses settings that it does not read, and names the alternative."""

import math

import pytest

from savanna.algorithms.impala import Impala
from savanna.algorithms.maddpg import MADDPG
from savanna.errors import UsageError

CONFIGS = {
    "Impala": lambda: Impala.get_default_config().environment("PongNoFrameskip-v4"),
    "MADDPG": lambda: MADDPG.get_default_config().environment("simple_spread"),
}
UNREAD = {
    "train_batch_size": (512, "train_batch_size_per_learner"),
    "explore": (False, "always explore"),
    "evaluation_interval": (1, "savanna evaluate"),
    "batch_mode": ("complete_episodes", "rollout_fragment_length"),
    "compress_observations": (True, "as they are"),
    "metrics_num_episodes_for_smoothing": (20, "the last 100"),
}

pytestmark = pytest.mark.parametrize("algorithm", CONFIGS)


def problem(algorithm, name, value):
    config = CONFIGS[algorithm]()
    config.validate()
    setattr(config, name, value)
    with pytest.raises(UsageError) as caught:
        config.validate()
    [line] = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize("name", UNREAD)
def test_what_is_never_read_is_refused(algorithm, name):
    value, instead = UNREAD[name]
    line = problem(algorithm, name, value)
    assert line.startswith(f"{name} is not read by {algorithm}") and instead in line


@pytest.mark.parametrize("value", ["x", True, math.nan, -1], ids=repr)
@pytest.mark.parametrize("name", ["min_time_s_per_iteration", "min_sample_timesteps_per_iteration"])
def test_limits_of_an_iteration_are_numbers(algorithm, name, value):
    line = problem(algorithm, name, value)
    assert line.startswith(f"{name} must be None or a number of at least 0, not {value!r}")
