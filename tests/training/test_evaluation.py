"""Evaluating, on a real tiny run."""

import json
import shutil
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest
import torch
from scipy import stats

from savanna.cli import main
from savanna.envs.environment import Played
from savanna.envs.families import environment_of
from savanna.envs.one_agent import OneAgent, first_episodes
from savanna.errors import SavannaError, UsageError
from savanna.evaluation import evaluate, evaluations, load_policy, pace
from savanna.evaluation.evaluations import measure, summarize
from savanna.evaluation.pace import Pace
from savanna.evaluation.policy import MODULE
from savanna.report import write_report
from savanna.runs.directory import RunDirectory


@pytest.fixture
def run(copied) -> RunDirectory:
    return RunDirectory.find("latest", copied / "runs")


def test_the_same_seeds_give_the_same_returns(run):
    first = evaluate(run, "last", episodes=4, seed=5)[0]
    again = evaluate(run, "last", episodes=4, seed=5)[0]
    other = evaluate(run, "last", episodes=4, seed=99)[0]
    assert first.returns == again.returns != other.returns
    assert first.length_mean == np.mean(first.returns), "CartPole pays 1 a step"


def test_training_evaluated_every_kept_checkpoint(trained):
    run = RunDirectory.find("latest", trained / "runs")
    entries = run.read_json("evaluations.json")
    assert [e["checkpoint"] for e in entries] == [c.number for c in run.checkpoints()]
    assert len({e["seed"] for e in entries}) == 1
    best = max(entries, key=lambda e: e["mean"])
    assert run.evaluated_returns()[run.checkpoint("best").number] == best["mean"]


def test_an_exploring_evaluation_is_kept_apart(run):
    before = run.evaluated_returns()
    evaluate(run, "last", episodes=3, seed=5, explore=True)
    assert run.evaluated_returns() == before
    assert sum(e["explore"] for e in run.read_json("evaluations.json")) == 1


def test_what_takes_too_long_is_cut_and_said(run, capsys):
    assert main(["evaluate", str(run.path), "--max-duration", "0s"]) == 2
    run.write_json("evaluations.json", [])
    assert main(["evaluate", str(run.path), "--episodes", "3", "--max-duration", "0.001s"]) == 0
    [entry] = [e for e in run.read_json("evaluations.json") if e["cut"]]
    assert entry["cut"] == 3 and entry["returns"] == [entry["length_mean"]] * 3
    assert "3 episodes, of which 3 ran out of time" in capsys.readouterr().err
    assert "(3 ran out of time)" in write_report(run).read_text()


def test_a_long_evaluation_says_how_far_it_is(run, monkeypatch, capsys):
    monkeypatch.setattr(pace, "TELL_SECONDS", 0.0)
    before = torch.get_num_threads()
    evaluate(run, "last", episodes=2)
    told = capsys.readouterr().err
    assert "0 of 2 episodes ended, the longest has 1 steps; 0 s of at most 60 s" in told
    assert torch.get_num_threads() == before


def test_an_interrupted_evaluation_keeps_what_it_has(run, monkeypatch, capsys):
    def interrupted(*args, **options):
        yield from measure(*args, **options | {"episodes": 2})
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluations, "measure", interrupted)
    assert main(["evaluate", str(run.path), "--checkpoint", "last"]) == 130
    shown = capsys.readouterr()
    assert shown.out.split("\n")[1].split()[0] == str(run.checkpoint("last").number)
    assert "interrupted: the other checkpoints were not evaluated" in shown.err


def test_what_was_cut_decides_nothing_and_replaces_nothing_whole(run):
    whole = summarize(0, [Played(1.0, 1)], seed=0, explore=False)
    cut = summarize(0, [Played(9.0, 1, cut=True)], seed=0, explore=False)
    run.write_json("evaluations.json", [])
    evaluations.store(run, whole)
    evaluations.store(run, cut)
    assert run.evaluated_returns() == {0: 1.0}
    evaluations.store(run, replace(cut, checkpoint=1))
    assert run.evaluated_returns() == {}, "the returns of training decide"


def test_where_few_can_play_at_once_the_same_episodes_are_played_in_turn(run, monkeypatch):
    together = evaluate(run, "last", episodes=5)[0]
    told = []
    monkeypatch.setattr(Pace, "__call__", lambda self, ended, steps: told.append(ended) or True)
    monkeypatch.setattr(OneAgent, "most_at_once", 2)
    assert evaluate(run, "last", episodes=5)[0].returns == together.returns
    assert told[-1] == 5 and told == sorted(told)


def test_atari_is_evaluated_as_it_is_trained_and_others_greedily():
    assert environment_of({"env": "BreakoutNoFrameskip-v4"}).evaluated_with_draws
    assert not environment_of({"env": "CartPole-v1"}).evaluated_with_draws


def test_a_kind_that_is_not_usual_does_not_choose_the_best(run):
    entries = [
        {"checkpoint": n, "mean": m, "explore": explore} | more
        for n, m, explore, more in (
            (0, 1.0, True, {"usual": True}),
            (0, 9.0, False, {"usual": False}),
            (1, 2.0, False, {}),  # of an earlier version
            (1, 8.0, True, {}),
        )
    ]
    run.write_json("evaluations.json", entries)
    assert run.evaluated_returns() == {0: 1.0, 1: 2.0}


def test_evaluations_of_earlier_versions_are_not_usual_where_actions_are_drawn_now(run):
    old = {"checkpoint": 0, "mean": 9.0, "explore": False}
    run.write_json("evaluations.json", [old, old | {"checkpoint": 1}])
    drawn = summarize(1, [Played(3.0, 1)], seed=0, explore=True)
    evaluations.store(run, drawn)
    assert run.evaluated_returns() == {1: 3.0}
    run.write_json("evaluations.json", [old])
    evaluations.store(run, summarize(1, [Played(3.0, 1)], seed=0, explore=False))
    assert run.evaluated_returns() == {0: 9.0, 1: 3.0}


def test_statistics():
    values = [1.0, 2.0, 2.0, 5.0]
    played = [Played(*one) for one in zip(values, [10, 20, 30, 40], strict=True)]
    e = summarize(3, played, seed=1, explore=False)
    interval = stats.t.interval(0.95, 3, loc=np.mean(values), scale=stats.sem(values))
    assert e.ci95 == pytest.approx(interval)
    assert (e.mean, e.min, e.max, e.length_mean) == (2.5, 1.0, 5.0, 25.0)
    assert e.percentiles["50"] == 2.0 and e.percentiles["25"] == 1.75
    assert summarize(0, [Played(3.0, 1)], seed=0, explore=False).ci95 is None


def test_every_slot_counts_its_first_episode_only():
    class Countdown(gym.Env):
        observation_space = gym.spaces.Box(0, 1, (1,))
        action_space = gym.spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.left = 2 if seed is None else 3 + seed % 4
            return np.zeros(1, np.float32), {}

        def step(self, action):
            self.left -= 1
            return np.zeros(1, np.float32), 1.0, self.left == 0, False, {}

    def still(observations, rng):
        return [np.zeros(len(observations[0]), int)]

    def play(watch):
        envs = gym.vector.SyncVectorEnv([Countdown] * 4)
        return first_episodes(still, envs, seed=0, explore=False, watch=watch)

    assert play(lambda ended, steps: True) == [Played(steps, steps) for steps in (3, 4, 5, 6)]
    cut = play(lambda ended, steps: ended < 2)
    assert cut == [Played(3, 3), Played(4, 4), Played(4, 4, cut=True), Played(4, 4, cut=True)]


def test_checkpoints_by_name(run):
    numbers = [c.number for c in run.checkpoints()]
    assert run.checkpoint("last").number == numbers[-1]
    assert run.checkpoint(str(numbers[0])).number == numbers[0]
    with pytest.raises(UsageError, match="has no checkpoint '99'. Available: best, last"):
        run.checkpoint("99")


def test_weights_are_stored_without_a_device(run):
    """NumPy arrays: a checkpoint made on a GPU loads on a CPU."""
    import pickle

    path = run.checkpoint_path(run.checkpoint("last").number) / MODULE / "module_state.pkl"
    state = pickle.loads(path.read_bytes())
    assert state and all(isinstance(value, np.ndarray) for value in state.values())


def test_a_damaged_checkpoint_is_named(run, capsys):
    path = run.checkpoint_path(run.checkpoint("last").number)
    (path / MODULE / "module_state.pkl").write_bytes(b"not a pickle")
    with pytest.raises(SavannaError, match="is damaged or incomplete"):
        load_policy(path)
    assert main(["evaluate", str(run.path), "--checkpoint", "last"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    shutil.rmtree(path)
    with pytest.raises(UsageError, match="no checkpoint at"):
        load_policy(path)


def test_the_table_and_the_json_agree(run, capsys):
    arguments = ["evaluate", str(run.path), "--checkpoint", "last", "--episodes", "3"]
    assert main([*arguments, "--json"]) == 0
    [entry] = json.loads(capsys.readouterr().out)
    assert main(arguments) == 0
    assert f"{entry['mean']:.2f}" in capsys.readouterr().out
    assert entry["episodes"] == 3 and len(entry["returns"]) == 3
