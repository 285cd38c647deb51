"""Runs as users run them: started, resumed, interrupted, failed, searched."""

import csv
import json
import os
import signal
import subprocess
import time

import pytest
from command import IMPORTABLE, finish, ours, savanna, savanna_command, started
from waiting import wait_until

from savanna.errors import SavannaError, UsageError
from savanna.metrics import COLUMNS, IterationResult
from savanna.planning.search_space import is_search_space, parse_search_space
from savanna.runs.directory import RunDirectory
from savanna.runs.resumption import find_resumption, rewind
from savanna.session.stopping import margin, reached

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")


def rows(run: RunDirectory) -> list[dict[str, float]]:
    return run.metrics()


def test_a_run_directory_holds_everything(trained):
    run = RunDirectory.find("latest", trained / "runs")
    assert (trained / "stdout").read_text().strip() == str(run.path)
    names = {p.name for p in run.path.iterdir()}
    assert names >= {
        "config.json",
        "metadata.json",
        "status.json",
        "metrics.csv",
        "checkpoint_000002",
        "evaluations.json",
        "tensorboard",
        "videos",
        "train.log",
        "report.html",
        "mlflow.json",
    }
    assert {p.name for p in (trained / "runs").iterdir() if not p.name.startswith(".")} == {
        "cartpole",
        "latest",
        "mlflow.db",
        "mlartifacts",
    }
    assert [p for p in (trained / "runs" / "cartpole").iterdir()] == [run.path]
    assert run.status["state"] == "succeeded" and "iteration 3" in run.status["reason"]
    assert [r["iteration"] for r in rows(run)] == [1, 2, 3]
    assert list(rows(run)[0]) == list(COLUMNS)
    assert all(b["agent_steps"] > a["agent_steps"] for a, b in zip(rows(run), rows(run)[1:]))


def test_the_configuration_and_metadata_say_what_was_run(trained):
    run = RunDirectory.find("latest", trained / "runs")
    config, metadata = run.config, run.metadata
    assert config["stop"] == {"return": 200, "seconds": 300, "iterations": 3}
    assert config["resources"]["env_runners"] == config["rllib"]["num_env_runners"]
    assert config["rllib"]["lr"] == 1e-3 and config["seed"] == config["rllib"]["seed"] == 1
    assert metadata["command"][:3] == ["savanna", "train", "cartpole"]
    assert metadata["versions"]["ray"] == "2.60.0"
    assert metadata["hardware"]["cpus"] >= 1 and metadata["git"]["sha"]
    text = json.dumps(metadata)
    assert not any(
        value in text
        for key, value in os.environ.items()
        if len(value) > 20 and key not in ("PWD", "PYTHONPATH", "OLDPWD", "VIRTUAL_ENV")
    )


def test_the_terminal_shows_progress_and_the_log_takes_the_noise(trained):
    shown = (trained / "stderr").read_text()
    assert "Starting Ray" in shown and "agent" not in shown.splitlines()[0]
    assert "return" in shown and "savanna evaluate cartpole/" in shown
    assert "WARNING" not in shown and "pid=" not in shown
    log = RunDirectory.find("latest", trained / "runs").log.read_text()
    assert "pid=" in log


def test_resuming_goes_on_with_counters_and_skill(copied):
    run = RunDirectory.find("latest", copied / "runs")
    before = rows(run)
    result = savanna(
        "train", "--resume", f"cartpole/{run.id}", "--stop", "iterations=5", *QUICK, cwd=copied
    )
    assert result.returncode == 0, result.stderr
    after = rows(run)
    assert [r["iteration"] for r in after] == [1, 2, 3, 4, 5]
    assert repr(after[:3]) == repr(before)  # a nan equals none, but looks the same
    for name in ("agent_steps", "seconds", "episodes_total"):
        assert after[3][name] > before[-1][name]
    assert after[3]["agent_steps"] - before[-1]["agent_steps"] < 2 * before[0]["agent_steps"]
    assert after[-1]["episode_return_mean"] > 0.8 * before[-1]["episode_return_mean"]
    numbers = [c.number for c in run.checkpoints()]
    assert numbers == sorted(set(numbers)) and len(numbers) == 5
    assert run.metadata["resumed_from"] == f"cartpole/{run.id}"
    assert run.config["stop"]["iterations"] == 5 and run.config["stop"]["return"] == 200


def test_resuming_from_an_earlier_checkpoint_sets_later_rows_aside(copied):
    run = RunDirectory.find("latest", copied / "runs")
    first = run.checkpoints()[0]
    resumption = find_resumption(f"{run.id}@{first.number}", copied / "runs")
    assert resumption.counters == first and resumption.run == run
    rewind(run, first)
    assert [r["iteration"] for r in rows(run)] == [1]
    with (run.path / "metrics-discarded.csv").open() as handle:
        assert [int(r["iteration"]) for r in csv.DictReader(handle)] == [2, 3]


def test_resuming_begins_with_the_newest_whole_checkpoint(copied, capsys):
    run = RunDirectory.find("latest", copied / "runs")
    last, earlier = run.checkpoints()[-1], run.checkpoints()[-2]
    (run.checkpoint_path(last.number) / "rllib_checkpoint.json").write_text("{")
    resumption = find_resumption("latest", copied / "runs")
    assert resumption.counters == earlier
    rewind(run, earlier)
    assert f"Damaged: {last.number}." in capsys.readouterr().err
    assert run.checkpoints()[-1] == earlier


def test_a_damaged_checkpoint_that_was_asked_for_names_one_that_is_not(copied):
    run = RunDirectory.find("latest", copied / "runs")
    last, earlier = run.checkpoints()[-1], run.checkpoints()[-2]
    (run.checkpoint_path(last.number) / "rllib_checkpoint.json").write_text("{")
    with pytest.raises(SavannaError) as caught:
        find_resumption(f"latest@{last.number}", copied / "runs")
    assert f"--resume cartpole/{run.id}@{earlier.number}" in str(caught.value)
    for info in run.checkpoints():
        (run.checkpoint_path(info.number) / "rllib_checkpoint.json").write_text("{")
    with pytest.raises(SavannaError, match="No other is left"):
        find_resumption("latest", copied / "runs")


def test_ctrl_c_leaves_a_checkpoint_and_says_how_to_resume(tmp_path):
    command = savanna_command(
        "train",
        "cartpole",
        "--stop",
        "none",
        "--stop",
        "iterations=10000",
        "--checkpoint-freq",
        "0",
    )
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with started(command, cwd=tmp_path, env=ours(), **pipes) as process:
        wait_until(lambda: list(tmp_path.glob("runs/cartpole/*/metrics.csv")), process=process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to every process of the group
        _, errors = finish(process, 120)
    assert process.returncode == 130, errors
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert run.status["state"] == "stopped" and "SIGINT" in run.status["reason"]
    assert run.checkpoints()[-1].iteration == rows(run)[-1]["iteration"]
    assert f"savanna train --resume cartpole/{run.id}" in errors


def test_a_search_makes_one_run_directory_a_sample(tmp_path):
    result = savanna(
        "train",
        "cartpole",
        "--set",
        "lr=grid(1e-4,1e-3)",
        "--set",
        "gamma=0.98",
        "--stop",
        "iterations=1",
        *QUICK,
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    runs = [RunDirectory(p.parent) for p in sorted(tmp_path.glob("runs/cartpole/*/config.json"))]
    assert [run.config["overrides"]["lr"] for run in runs] == [1e-4, 1e-3]
    assert all(run.config["overrides"]["gamma"] == 0.98 for run in runs)
    assert all(run.status["state"] == "succeeded" for run in runs)


def test_storage_gets_checkpoints_and_results(tmp_path):
    storage = tmp_path / "storage"
    result = savanna(
        "train",
        "cartpole",
        "--stop",
        "iterations=1",
        "--storage",
        f"file://{storage}",
        "--evaluate-episodes",
        "2",
        "--no-video",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    copy = storage / "cartpole" / run.id
    assert {p.name for p in copy.iterdir()} >= {
        "checkpoint_000000",
        "metrics.csv",
        "config.json",
        "status.json",
        "report.html",
    }
    assert RunDirectory(copy).status["state"] == "succeeded"
    assert run.checkpoint("best").number == 0


def test_a_time_limit_stops_gracefully_before_it(tmp_path):
    began = time.monotonic()
    result = savanna(
        "train", "cartpole", "--stop", "none", "--max-duration", "20s", *QUICK, cwd=tmp_path
    )
    assert time.monotonic() - began < 22
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert run.status["state"] == "stopped" and "time limit" in run.status["reason"]
    assert run.checkpoints() and result.returncode == 0, result.stderr


def test_an_error_in_an_environment_is_told_with_its_process(tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import gymnasium as gym\n"
        "class Broken(gym.Env):\n"
        "    observation_space = gym.spaces.Box(0, 1, (2,))\n"
        "    action_space = gym.spaces.Discrete(2)\n"
        "    def reset(self, *, seed=None, options=None):\n"
        "        return self.observation_space.sample(), {}\n"
        "    steps = 0\n"
        "    def step(self, action):\n"
        "        self.steps += 1\n"
        "        if self.steps == 150:\n"  # later than the checks before training look
        "            raise RuntimeError('the wheel fell off')\n"
        "        return self.observation_space.sample(), 0.0, False, False, {}\n"
        "gym.register('Broken-v0', entry_point=Broken)\n"
    )
    path = f"{tmp_path}{os.pathsep}{IMPORTABLE}"
    result = savanna(
        "train", "cartpole", "--env", "Broken-v0", *QUICK, cwd=tmp_path, fresh=True, PYTHONPATH=path
    )
    assert result.returncode == 1
    [line] = [x for x in result.stderr.splitlines() if x.startswith("savanna:")]
    assert "env runner" in line and "the wheel fell off" in line and "train.log" in line
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert run.status["state"] == "failed" and "the wheel fell off" in run.status["cause"]


def make_result(**changes) -> IterationResult:
    base = dict.fromkeys(COLUMNS, 0.0) | {"iteration": 1, "episodes_total": 500}
    return IterationResult(**(base | changes))


def test_stop_rules():
    stop = {"return": 18.0, "agent_steps": 1000}
    assert reached(make_result(), stop) is None
    assert "episode_return_mean 18.5" in reached(make_result(episode_return_mean=18.5), stop)
    assert "agent_steps 1000" in reached(make_result(agent_steps=1000), stop)
    early = make_result(episode_return_mean=19.0, episodes_total=99)
    assert reached(early, stop) is None, "99 episodes are no mean of the last 100"


def test_the_margin_before_the_hard_limit():
    assert margin(3600) == 180 and margin(60) == 10 and margin(10) == 3


def test_search_spaces():
    assert is_search_space("loguniform(1e-4, 1e-2)") and not is_search_space("uniform")
    space = parse_search_space("lr", "loguniform(1e-4, 1e-2)")
    assert all(1e-4 <= space.sample() <= 1e-2 for _ in range(20))
    assert parse_search_space("x", "choice(small, 3)").categories == ["small", 3]
    for bad in ("loguniform(0, 1)", "uniform(1)", "choice()", "grid(__import__('os'))"):
        with pytest.raises(UsageError, match="Known: uniform"):
            parse_search_space("lr", bad)
