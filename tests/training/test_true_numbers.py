"""A row's numbers are those of the episodes that were played, also in resumed runs."""

import json
import math
import pickle
import sys
from itertools import pairwise
from pathlib import Path
from statistics import mean

import pytest
from command import ours, run, savanna
from plans import plan_of
from ray.rllib.utils.metrics.metrics_logger import MetricsLogger

from savanna.algorithms.episode import Episode
from savanna.algorithms.tally import Tally, report
from savanna.errors import UsageError
from savanna.runs.directory import RunDirectory

OTHERS = ("pong", "particle", "particle-ppo")
QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")

COUNTED = '''
import os
import sys

import gymnasium as gym
import numpy as np


class Counted(gym.Env):
    """Returns rise from episode to episode; a file has each return and length."""

    played = 0

    def __init__(self, file=""):
        self.file = file
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.limit, self.steps, self.total = int(self.np_random.integers(5, 40)), 0, 0.0
        return np.zeros(2, np.float32), {}

    def step(self, action):
        self.steps += 1
        ended = self.steps == self.limit
        reward = 1.0 * Counted.played if ended else 0.25
        self.total += reward
        if ended:
            Counted.played += 1
            # The checks before training play, too, in a process without Ray.
            with open(self.file if "ray" in sys.modules else os.devnull, "a") as file:
                file.write(f"{self.total} {self.steps}\\n")
        return np.zeros(2, np.float32), reward, ended, False, {}
'''


def check(row: dict[str, float], played: list) -> None:
    """Compare `row` with the (return, length) of all episodes that had ended so far."""
    assert row["episodes_total"] == len(played)
    returns, lengths = zip(*played[-100:], strict=True)
    assert row["episode_return_mean"] == pytest.approx(mean(returns), rel=1e-5)
    assert row["episode_return_min"] == pytest.approx(min(returns), rel=1e-5)
    assert row["episode_return_max"] == pytest.approx(max(returns), rel=1e-5)
    assert row["episode_length_mean"] == pytest.approx(mean(lengths))


@pytest.fixture(scope="module")
def counted(tmp_path_factory) -> Path:
    """A folder in which PPO trained for two iterations, and was resumed for a third."""
    folder = tmp_path_factory.mktemp("counted")
    (folder / "counted.py").write_text(COUNTED)
    options = ("--num-env-runners", "1", "--set", f"env_config.file={folder / 'played'}")
    options += ("--set", "train_batch_size_per_learner=1024", "--set", "num_epochs=1")
    command = ("train", "gym", "--env", "counted:Counted", *options)
    first = savanna(*command, "--stop", "iterations=2", *QUICK, cwd=folder)
    assert first.returncode == 0, first.stderr
    stop = ("--stop", "none", "--stop", "return=0")  # of 100 episodes, which it has by then
    second = savanna("train", "--resume", "latest", *stop, *QUICK, cwd=folder)
    assert second.returncode == 0, second.stderr
    return folder


def test_with_ppo_they_are_of_the_last_100_episodes(counted):
    lines = (counted / "played").read_text().splitlines()
    played = [tuple(map(float, line.split())) for line in lines]
    run = RunDirectory.find("latest", counted / "runs")
    rows = run.metrics()
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    assert run.status["reason"].startswith("episode_return_mean"), "the stop rule"
    ends = [int(row["episodes_total"]) for row in rows]
    assert ends[-1] == len(played) and ends[1] > 60 and max(b - a for a, b in pairwise(ends)) < 90
    for row, end in zip(rows, ends, strict=True):
        check(row, played[:end])


def test_rates_are_those_of_the_iteration_also_after_a_resume(counted):
    rows = RunDirectory.find("latest", counted / "runs").metrics()
    for before, row in pairwise(rows):
        elapsed = row["seconds"] - before["seconds"]
        for rate, steps in (
            ("sampled_per_second", "agent_steps"),
            ("trained_per_second", "agent_steps_trained"),
        ):
            assert row[rate] * elapsed == pytest.approx(row[steps] - before[steps], rel=0.01)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> dict[str, list]:
    """By algorithm the rows of two iterations, and of a third one from the checkpoint."""
    program = Path(__file__).with_name("recorded_training.py")
    command = [sys.executable, program, tmp_path_factory.mktemp("recorded"), *OTHERS]
    return json.loads(run(command, env=ours(), check=True).stdout.splitlines()[-1])


@pytest.mark.parametrize("algorithm", OTHERS)
def test_other_algorithms_count_the_same_and_go_on(algorithm, recorded):
    rows = recorded[algorithm]
    assert [row["iteration"] for row in rows] == [1, 2, 3]
    assert rows[-1]["episodes_total"] > 100, "the window is full"
    for row in rows:
        check(row, row["played"])
    for before, row in pairwise(rows):
        steps = row["agent_steps"] - before["agent_steps"]
        assert 1000 <= steps <= 3500
        assert row["sampled_per_second"] * row["elapsed"] == pytest.approx(steps)
        trained = row["agent_steps_trained"] - before["agent_steps_trained"]
        assert row["trained_per_second"] * row["elapsed"] == pytest.approx(trained)
        # The schedule falls to 0 at 10,000 steps of the environment.
        agents = 1 if algorithm == "pong" else 3
        first, last = (1e-3 * (1 - r["agent_steps"] / agents / 10_000) for r in (before, row))
        assert first > row["learning_rate"] >= last * 0.9999
        assert row["updates"] is None or row["updates"] > before["updates"]


def test_the_window_is_no_setting():
    with pytest.raises(UsageError, match="always over the last 100"):
        plan_of("cartpole", "--set", "metrics_num_episodes_for_smoothing=20")


def result(*episodes: Episode, sampled: int = 0) -> dict:
    return {
        "env_runners": {"episodes_ended": list(episodes)} if episodes else {},
        "num_env_steps_sampled_lifetime": sampled,
    }


def test_the_window_is_full_at_100_and_goes_on_from_a_checkpoint():
    tally, whole = Tally(), [Episode(float(n), n, {"food": n * 2.0}) for n in range(130)]
    nothing = result()
    tally.update(nothing)
    assert nothing["tally"]["episodes"] == 0 and "return_mean" not in nothing["tally"]
    tally.update(result(*whole[:120], sampled=500))
    resumed = Tally()
    resumed.restore(pickle.loads(pickle.dumps(tally.state())))
    last = result(*whole[120:], sampled=620)
    resumed.update(last)
    found = last["tally"]
    assert "episodes_ended" not in last["env_runners"], "Tune would keep and write it"
    assert (found["episodes"], found["sampled"]) == (130, 120)
    assert (found["return_min"], found["return_max"]) == (30.0, 129.0)
    assert found["return_mean"] == found["length_mean"] == mean(range(30, 130))
    assert found["measured"] == {"food": 2 * mean(range(30, 130))}


def test_a_trial_that_is_tried_again_counts_its_episodes_once():
    tally, last = Tally(), result(Episode(8.0, 1))
    tally.update(result(Episode(1.0, 1), Episode(0.0, 1)))
    state = tally.state()
    for _ in range(2):
        tally.restore(state)
    tally.update(last)
    assert (last["tally"]["episodes"], last["tally"]["return_mean"]) == (3, 3.0)


@pytest.mark.parametrize("ended", [0, 1, 2])
def test_episodes_come_through_however_few_end_in_an_iteration(ended):
    """Good policies play long episodes: RLlib replaces a list of one item by that item."""
    runner, algorithm = MetricsLogger(), MetricsLogger(root=True)
    for _ in range(ended):
        report(runner, Episode(500.0, 500))
    algorithm.aggregate([runner.reduce()], key="env_runners")
    found, tally = result(), Tally()
    found["env_runners"] |= algorithm.compile().get("env_runners", {})
    tally.update(found)
    assert found["tally"]["episodes"] == ended
    assert found["tally"].get("return_mean") == (500.0 if ended else None)


def test_a_checkpoint_that_lacks_its_episodes_gives_no_mean_until_there_are_100():
    tally = Tally()
    tally.restore({"episodes": (), "total": 5000, "steps": None})
    some, all_ = result(*[Episode(1.0, 1)] * 60, sampled=10), result(*[Episode(2.0, 1)] * 60)
    tally.update(some)
    assert some["tally"] == {"episodes": 5060}, "neither a mean of 60 nor a rate since the start"
    tally.update(all_)
    assert math.isclose(all_["tally"]["return_mean"], 1.6)
