"""Environments are guests: what they do in their process costs neither the command nor the run."""

import json
import re
import shutil
import signal
import sys
from pathlib import Path

import psutil
import pytest
from command import ours, savanna, savanna_command, started

from savanna.cli import main
from savanna.envs import guest
from savanna.envs.families import environment_of
from savanna.errors import UsageError
from savanna.evaluation.film import read_film
from savanna.runs.directory import RunDirectory

FEW = ("--stop", "none", "--stop", "iterations=1", "--num-env-runners", "1", "--no-report")
SMALL = ("train_batch_size_per_learner=200", "minibatch_size=100", "num_envs_per_env_runner=2")
QUICK = (*FEW, *(word for setting in SMALL for word in ("--set", setting)))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    shutil.copy(Path(__file__).with_name("guest_envs.py"), tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(capsys, env: str, *words: str) -> tuple[int, dict[str, dict], str]:
    """Exit code, findings and messages of `savanna check-env`."""
    code = main(["check-env", f"guest_envs:{env}", "--json", *words])
    printed = capsys.readouterr()
    checks = json.loads(printed.out)["checks"] if printed.out else []
    return code, {check["check"]: check for check in checks}, printed.err


def test_a_rude_one_trains_is_evaluated_filmed_and_exported(folder):
    """It changes the folder, reads the command line, fails in close() and has an unusual info."""
    result = savanna(
        "train", "gym", "--env", "guest_envs:Rude", *QUICK, "--evaluate-episodes", "2", cwd=folder
    )
    assert result.returncode == 0, result.stderr
    assert "warning: guest_envs:Rude: close(), called twice, raised RuntimeError" in result.stderr
    assert "warning: guest_envs:Rude: changes the working folder, to " in result.stderr
    run = RunDirectory.find("latest", folder / "runs")
    assert run.read_json("evaluations.json")[0]["episodes"] == 2
    [film] = run.videos.glob("*.mp4")
    frames = read_film(film)
    assert len(frames) == 10 and frames[3].max() > 200, "floats of 0..1"
    done = savanna("export", cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ("Unpaid", "step 1: the reward has type NoneType. Return a float."),
        ("Sentinel", "step 3: the observation has 1e+300 in it, and float32, with which training"),
        ("Aborts", "step 6 ended its process (SIGABRT) (its last output: "),
        ("QuitsAtOnce", "failed: SystemExit: sys.exit('no licence file') was called"),
    ],
)
def test_what_check_env_refuses_training_refuses_in_the_same_words(folder, capsys, env, says):
    code, findings, said = checked(capsys, env)
    assert code == (1 if findings else 2)
    wrong = [f["text"] + f". {f['fix']}" for f in findings.values() if f["verdict"] == "wrong"]
    assert says in (wrong or [said])[0]
    assert main(["train", "gym", "--env", f"guest_envs:{env}"]) == 2
    refused = capsys.readouterr().err
    assert (wrong or [said.partition(": ")[2].strip()])[0] in refused
    assert not (folder / "runs").exists()


def test_a_late_exit_is_an_error_of_the_environment(folder):
    """Later than the checks before training look."""
    longer = [word.replace("learner=200", "learner=400") for word in QUICK]
    words = ("--set", "env_config.at=110", "--evaluate-episodes", "0", "--no-video", *longer)
    result = savanna("train", "gym", "--env", "guest_envs:Quits", *words, cwd=folder)
    assert result.returncode == 1
    assert "failed while it played guest_envs:Quits: " in result.stderr
    assert "sys.exit(3) was called" in result.stderr


def test_a_call_has_a_limit(folder, capsys, monkeypatch):
    monkeypatch.setitem(guest.LIMITS, "step", 1.0)
    code, findings, _ = checked(capsys, "Hangs")
    assert code == 1
    assert findings["play"]["text"] == "step 6 did not return within 1 s"
    assert findings["spaces"]["verdict"] == "ok", "what was found before is told"


def test_close_has_a_limit_and_is_a_warning(folder, monkeypatch):
    monkeypatch.setattr("savanna.envs.hosted.CLOSE_SECONDS", 0.3)
    env = environment_of({"env": "guest_envs:HangsInClose"}).vector(2)
    env.reset()
    env.close()
    assert [each.env.close_problem for each in env.envs] == ["did not return within 0.3 s"] * 2


def test_what_it_starts_is_named_and_ended(folder, capsys):
    code, findings, _ = checked(capsys, "Starts", "--set", "env_config.seconds='171.25'")
    assert code == 0
    assert "leaves a process running: sleep 171.25" in findings["leftovers"]["text"]
    assert not running("sleep 171.25")


def test_ctrl_c_ends_the_guest_too(folder):
    command = savanna_command("check-env", "guest_envs:Hangs")
    with started(command, cwd=folder, env=ours()) as process:
        deadline = 200
        while not (guests := psutil.Process(process.pid).children()):
            deadline -= 1
            assert deadline, "no guest"
            with pytest.raises(Exception):  # noqa: B017 (only a pause)
                process.wait(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    psutil.wait_procs(guests, timeout=5)
    assert not any(c.is_running() and c.status() != psutil.STATUS_ZOMBIE for c in guests)


def running(command: str) -> bool:
    return any(
        command in " ".join(p.info["cmdline"] or []) for p in psutil.process_iter(["cmdline"])
    )


def test_names_that_a_module_registers(folder, capsys):
    code = main(["check-env", "guest_envs:GuestShort-v3", "--json"])
    assert code == 0, capsys.readouterr().err
    [episodes] = [
        c for c in json.loads(capsys.readouterr().out)["checks"] if c["check"] == "episodes"
    ]
    assert "after 5 steps" in episodes["text"]
    with pytest.raises(UsageError, match=r"unknown environment 'guest_envs:GuestShorter-v3'"):
        environment_of({"env": "guest_envs:GuestShorter-v3"}).check()


def test_a_constructor_as_for_rllib(folder, capsys):
    code, findings, _ = checked(capsys, "AsForRLlib", "--set", "env_config.length=7")
    assert code == 0
    assert "after 7 steps" in findings["episodes"]["text"]
    assert main(["check-env", "guest_envs:AsForRLlib"]) == 2
    assert "KeyError: 'length'" in capsys.readouterr().err


def test_a_registered_name_and_an_rllib_constructor_train(folder):
    name, config = ("guest_envs:GuestShort-v3",), ("guest_envs:AsForRLlib",)
    for env, *words in (name, (*config, "--set", "env_config.length=7")):
        given = ("--env", env, *words, *QUICK, "--evaluate-episodes", "0", "--no-video")
        result = savanna("train", "gym", *given, cwd=folder)
        assert result.returncode == 0, result.stderr


def test_folder_arguments_and_signals_are_put_back(folder):
    before = (Path.cwd(), sys.argv, signal.getsignal(signal.SIGTERM))
    env = environment_of({"env": "guest_envs:Rude"}).make()
    env.reset(seed=0)
    assert (Path.cwd(), sys.argv, signal.getsignal(signal.SIGTERM)) == before
    assert env.step(0)[-1] == {} == env.reset()[1], "info is dropped"


def test_pong_trains_without_env_runner_processes(tmp_path):
    few = ("--set", "min_sample_timesteps_per_iteration=2048", "--evaluate-episodes", "0")
    words = ("--num-env-runners", "0", "--stop", "none", "--stop", "iterations=1", *few)
    result = savanna("train", "pong", *words, "--no-video", "--no-report", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert re.search("iteration 1 reached 1", result.stderr)
