"""Training that cannot go on says why and ends; training that is slow goes on."""

import math
import re
import shutil
from pathlib import Path

import pytest
from command import savanna

from savanna.runs.directory import RunDirectory

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report", "--stop", "none")


def train(folder: Path, env: str, *words: str):
    """`savanna train gym` on an environment of `stuck_envs`; the process and the run."""
    shutil.copy(Path(__file__).with_name("stuck_envs.py"), folder)
    settings = ("--num-env-runners", "1", "--set", "num_envs_per_env_runner=2")
    command = ("train", "gym", "--env", f"stuck_envs:{env}", *QUICK, *settings, *words)
    result = savanna(*command, cwd=folder)
    return result, RunDirectory.find("latest", folder / "runs")


def where(folder: Path) -> tuple[str, str]:
    """Environments may run in another folder."""
    return "--set", f"env_config.folder={folder}"


def test_a_slow_environment_trains_and_its_steps_count_as_they_are_made(tmp_path):
    """A batch takes 6 s here; iterations end after one."""
    small = ("train_batch_size_per_learner=120", "minibatch_size=60", "max_time_s_per_iteration=1")
    words = [word for setting in small for word in ("--set", setting)]
    result, run = train(tmp_path, "Plant", *words, "--stop", "agent_steps=130")
    assert result.returncode == 0, result.stderr
    rows = run.metrics()
    assert len(rows) >= 3
    steps = [row["agent_steps"] for row in rows]
    assert steps == sorted(steps)
    assert any(0 < count < 120 for count in steps), "before the batch is whole"
    assert any(math.isfinite(row["policy_loss"]) for row in rows), "nothing was learned"


def test_a_hanging_environment_is_told_and_the_run_ends_when_it_should(tmp_path):
    short = ("--set", "max_time_s_per_iteration=1", "--stop", "seconds=5")
    result, run = train(tmp_path, "Hangs", *short)
    assert result.returncode == 0, result.stderr
    assert run.status["state"] == "succeeded" and run.checkpoints()
    assert re.search("No samples for [0-9]+ s: 1 of 1 env runners are in one step", result.stderr)


def test_the_last_iteration_is_no_longer_than_the_run(tmp_path):
    """A batch takes 50 s here, and so might an iteration."""
    slow = ("--set", "max_time_s_per_iteration=1000", "--stop", "seconds=3")
    result, run = train(tmp_path, "Plant", *slow)
    assert result.returncode == 0, result.stderr
    assert 0 < run.metrics()[-1]["agent_steps"] < 2000


def test_a_stop_file_ends_the_iteration_at_once(tmp_path):
    endless = ("--set", "max_time_s_per_iteration=1000", "--stop", "iterations=2")
    result, run = train(tmp_path, "Stops", *endless, *where(tmp_path))
    assert result.returncode == 0, result.stderr
    assert [row["iteration"] for row in run.metrics()] == [1, 2]
    assert run.metrics()[-1]["agent_steps"] < 1000, "it waited for its batch"


@pytest.mark.parametrize("what", ["reward", "observation"])
def test_a_nan_is_named_and_what_was_learned_before_is_kept(tmp_path, what):
    settings = ("train_batch_size_per_learner=100", "minibatch_size=50", f"env_config.what={what}")
    settings += ("env_config.after=130", "max_time_s_per_iteration=1000")
    words = [word for s in settings for word in ("--set", s)]
    result, run = train(tmp_path, "Lies", *words, "--stop", "iterations=6")
    assert result.returncode == 1
    assert run.status["state"] == "failed"
    article, value = {"reward": ("a", "nan"), "observation": ("an", "inf")}[what]
    expected = f"The environment stuck_envs:Lies gave {article} {what} of {value} in step"
    assert expected in run.status["cause"] and "environment 0 of the env runner" in result.stderr
    assert run.checkpoints()[-1].iteration == run.metrics()[-1]["iteration"] == 3
    assert "Traceback" not in result.stderr


def test_a_lost_env_runner_is_mentioned_once_and_training_goes_on(tmp_path):
    settings = ("train_batch_size_per_learner=100", "minibatch_size=50")
    words = [w for s in settings for w in ("--set", s)]
    result, run = train(tmp_path, "Dies", *words, "--stop", "iterations=3", *where(tmp_path))
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("An env runner was lost (its process was killed or crashed)") == 1
    assert "restarted: 1 so far, now on node" in result.stderr
    assert [p for p in run.path.iterdir() if p.name.startswith(".")] == []


def test_without_any_env_runner_the_run_ends_with_a_checkpoint_and_its_cause(tmp_path):
    settings = (
        "env_runner_lost_timeout_s=4",
        "max_time_s_per_iteration=1",
        "env_config.lives=1000",
    )
    words = [word for s in settings for word in ("--set", s)]
    result, run = train(tmp_path, "Dies", *words, *where(tmp_path), "--stop", "iterations=1000")
    assert result.returncode == 1
    assert run.status["state"] == "failed" and run.checkpoints()
    assert "The env runner was lost, and no samples came for" in run.status["cause"]
    assert "lost and not back yet" in result.stderr


def test_env_runners_that_cannot_be_made_end_the_run_at_once(tmp_path):
    result, run = train(tmp_path, "Unmade")
    assert result.returncode == 1
    assert re.search(
        r"An env runner \(process \d+\) on node [\d.]+ could not be made: .*no licence\.",
        run.status["cause"],
    )


def test_what_cannot_be_recorded_ends_the_run_with_a_checkpoint(tmp_path):
    words = ("--set", "train_batch_size_per_learner=200", *where(tmp_path))
    shutil.copy(Path(__file__).with_name("stuck_envs.py"), tmp_path)
    settings = ("--num-env-runners", "1", "--set", "minibatch_size=100", *words)
    command = ("train", "gym", "--env", "stuck_envs:Spoils", *QUICK, *settings)
    result = savanna(*command, "--stop", "iterations=1000", cwd=tmp_path)
    assert result.returncode == 1
    [run] = map(RunDirectory, (tmp_path / "runs" / "gym").iterdir())
    assert run.status["state"] == "failed" and "metrics.csv" in run.status["cause"]
    assert "could not be recorded" in result.stderr and run.checkpoints()


# In this process
