"""Continuing those runs of a command that did not succeed."""

import json
import shutil
from pathlib import Path

import pytest
from command import savanna
from plans import request_of_words

from savanna.cli import main
from savanna.errors import UsageError
from savanna.runs.directory import RunDirectory
from savanna.session.checks import check_early
from savanna.session.search_space import draws, parse_search_space
from savanna.session.tune import DRAWN

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report", "--stop", "none")


def test_those_that_succeeded_are_left_alone_and_the_others_go_on(tmp_path):
    shutil.copy(Path(__file__).with_name("stuck_envs.py"), tmp_path)
    settings = ("train_batch_size_per_learner=100", "minibatch_size=50", "env_config.after=60")
    settings += (f"env_config.folder={tmp_path}", "num_envs_per_env_runner=2")
    words = [word for setting in settings for word in ("--set", setting)]
    few = ("--num-env-runners", "0", "--seeds", "3", "--checkpoint-freq", "1")
    command = ("train", "gym", "--env", "stuck_envs:Fails", *QUICK, *few, *words)
    command += ("--stop", "iterations=3")

    first = savanna(*command, cwd=tmp_path)
    assert first.returncode == 1 and first.stderr.count("the wheel fell off") == 1
    assert first.stderr.count("(2 of 3 seeds)") == 1, "the table is shown once"
    before = {run.config["seed"]: run for run in runs_of(tmp_path)}
    [failed] = [seed for seed, run in before.items() if run.status["state"] == "failed"]
    gone, done = sorted({0, 1, 2} - {failed})
    shutil.rmtree(before[gone].path)

    again = savanna(*command, "--resume-group", "latest", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    after = {run.config["seed"]: run for run in runs_of(tmp_path)}
    assert after[failed] == before[failed] and after[done] == before[done]
    assert {seed: run.status["session"] for seed, run in after.items()} == {
        failed: 2,
        done: 1,
        gone: 1,
    }
    for run in after.values():
        assert run.status["state"] == "succeeded"
        assert [row["iteration"] for row in run.metrics()] == [1, 2, 3]
    assert again.stderr.count("(3 seeds)") == 1
    assert "the wheel fell off" in (after[failed].path / "train-1.log").read_text()
    [name] = {run.config["options"]["group"]["name"] for run in after.values()}
    assert after[failed].metadata["resumed_from"] == f"gym/{after[failed].id}"

    nothing = savanna(*command, "--resume-group", name, cwd=tmp_path)
    assert nothing.returncode == 0 and "have succeeded" in nothing.stderr
    assert len(runs_of(tmp_path)) == 3


def runs_of(folder: Path) -> list[RunDirectory]:
    return [RunDirectory(p.parent) for p in sorted(folder.glob("runs/gym/*/config.json"))]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--resume-group", "x"], "give the options of the command that made the group"),
        (["--seeds", "2", "--resume-group", "x"], "no such group"),
    ],
)
def test_a_group_that_cannot_go_on_is_refused_in_one_line(
    words, says, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "cartpole", "--address", "local", *words]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert any(says in line for line in lines)
    assert not list(tmp_path.glob("runs/*/*"))


def test_one_run_or_a_group_is_continued():
    with pytest.raises(UsageError, match="--resume-group .* and --resume one: give only one"):
        check_early(request_of_words("cartpole", "--resume", "x", "--resume-group", "y"))


def test_trials_that_are_done_are_not_drawn():
    search = draws(0, lambda trial: trial.config[DRAWN]["seed"] == 2)
    space = {"seed": parse_search_space("seed", "grid(1,2,3)")}
    search.add_configurations({"x": {"run": "PPO", "config": {DRAWN: space}, "num_samples": 1}})
    found = []
    while trial := search.next_trial():
        found.append(json.dumps(trial.config[DRAWN]))
    assert found == ['{"seed": 1}', '{"seed": 3}']
