"""Signals and time limits: at any moment, to one process or all, and what is left after them."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from command import finish, ours, run, savanna, savanna_command, started
from waiting import wait_until

from savanna.runs.directory import RunDirectory

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")
PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
SLOW = """
import pathlib, time
import gymnasium as gym
HERE = pathlib.Path(__file__).parent  # Ray's processes have other working folders

class Slow(gym.Env):
    observation_space = gym.spaces.Box(0, 1, (2,))
    action_space = gym.spaces.Discrete(2)
    def __init__(self, at_start=0.0, after=10**9):
        self.after, self.steps = after, 0
        if at_start and (HERE / "checked").exists():  # by the command, before it starts Ray
            (HERE / "making").touch()
            time.sleep(at_start)
            (HERE / "made").touch()
        (HERE / "checked").touch()
    def reset(self, *, seed=None, options=None):
        return self.observation_space.sample(), {}
    def step(self, action):
        self.steps += 1
        if self.steps > self.after:
            (HERE / "stepping").touch()
            time.sleep(600)
        return self.observation_space.sample(), 1.0, self.steps % 20 == 0, False, {}
"""


def trained_run(folder) -> RunDirectory:
    return RunDirectory.find("latest", folder / "runs")


def train(*options, cwd):
    return started(savanna_command("train", *options), cwd=cwd, env=ours(), **PIPES)


def survivors(processes) -> list[str]:
    """Those that still live after a moment; a killed process takes one to go."""
    psutil.wait_procs(processes, timeout=5)
    return [p.name() for p in processes if p.is_running() and p.status() != "zombie"]


def test_a_signal_to_every_process_leaves_a_checkpoint_and_no_process(tmp_path):
    """As systemd and batch queues send it: to whatever the command has started as well.

    For SIGTERM, a drill shows the same.
    """
    with train(
        "cartpole", "--stop", "none", "--checkpoint-freq", "0", *QUICK, cwd=tmp_path
    ) as process:
        wait_until(lambda: list(tmp_path.glob("runs/cartpole/*/metrics.csv")), process=process)
        children = psutil.Process(process.pid).children(recursive=True)
        for each in [*children, psutil.Process(process.pid)]:
            each.send_signal(signal.SIGHUP)
        _, errors = finish(process, 120)
    assert process.returncode == 129, errors
    made = trained_run(tmp_path)
    assert made.status["state"] == "stopped"
    assert made.checkpoints()[-1].iteration == made.metrics()[-1]["iteration"]
    assert len(children) > 5 and survivors(children) == []


def test_a_signal_while_ray_starts_ends_it_and_leaves_nothing(tmp_path):
    with train("cartpole", *QUICK, cwd=tmp_path) as process:
        me = psutil.Process(process.pid)
        raylet = wait_until(lambda: [c for c in me.children() if c.name() == "raylet"])
        children = me.children(recursive=True)
        os.killpg(process.pid, signal.SIGTERM)
        _, errors = finish(process, 60)
    assert process.returncode == 143
    assert errors.splitlines()[-1] == "savanna: Stopped: SIGTERM received, before training began."
    assert raylet and survivors(children) == []
    assert list(tmp_path.glob("runs/*")) == []


def test_a_signal_while_environments_are_made_ends_it(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    options = ("gym", "--env", "slow:Slow", "--set", "env_config.at_start=60", "--stop", "none")
    with train(*options, *QUICK, cwd=tmp_path) as process:
        wait_until((tmp_path / "making").exists, process=process)
        process.terminate()
        _, errors = finish(process, 60)
    assert process.returncode == 143, errors
    assert not (tmp_path / "made").exists(), "it waited for the environment"
    assert "SIGTERM received" in errors


def test_a_second_signal_stops_what_hangs_and_says_so(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    options = ("gym", "--env", "slow:Slow", "--set", "env_config.after=3000", "--stop", "none")
    more = ("--num-env-runners", "0", "--checkpoint-freq", "1", *QUICK)
    with train(*options, *more, cwd=tmp_path) as process:
        wait_until((tmp_path / "stepping").exists, process=process)
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        wait_until(lambda: "Ctrl-C again" in os.read(process.stderr.fileno(), 4096).decode())
        time.sleep(1.1)  # sooner it is taken for the same one
        process.send_signal(signal.SIGINT)
        _, errors = finish(process, 60)
    assert process.returncode == 130, errors
    made = trained_run(tmp_path)
    assert made.status["state"] == "stopped"
    assert made.status["reason"] == "SIGINT received, without a last checkpoint"
    assert f"train --resume gym/{made.id}" in errors and made.checkpoints()
    assert survivors(children) == [] and not (made.path / "owner.json").exists()


def test_a_signal_while_checkpoints_are_evaluated_keeps_the_run_and_what_was_measured(tmp_path):
    options = ("--stop", "iterations=2", "--checkpoint-freq", "1", "--evaluate-episodes", "1000")
    with train("cartpole", *options, "--no-video", cwd=tmp_path) as process:
        wait_until(lambda: list(tmp_path.glob("runs/cartpole/*/evaluations.json")), process=process)
        process.terminate()
        _, errors = finish(process, 60)
    assert process.returncode == 143, errors
    made = trained_run(tmp_path)
    assert made.status["state"] == "succeeded"
    assert [e["checkpoint"] for e in made.read_json("evaluations.json", [])] == [0]
    assert f" evaluate --checkpoint all cartpole/{made.id}" in errors


def test_the_time_limit_bounds_what_comes_after_training_too(tmp_path):
    options = ("--stop", "iterations=1", "--max-duration", "18s", "--evaluate-episodes", "1000000")
    result = savanna("train", "cartpole", *options, "--no-video", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert trained_run(tmp_path).status["state"] == "succeeded"
    assert "the time limit of 18 s was nearly reached, after training" in result.stderr


STOP = """
import signal, sys, time
from savanna.session import stopping
stopping.TWICE_SECONDS = 0.1
stopping.STOP_SECONDS = stopping.CLOSE_SECONDS = 1.0
stop = stopping.Stop(time.monotonic(), {limit})
stop.last_words = lambda: print("last words", flush=True) or 1
{before}
with stop.listen(), stop.while_training():
    print("go", flush=True)
    while True:
        try:
            time.sleep(30)
        except KeyboardInterrupt:
            print("interrupted", stop.reason, flush=True)
"""


@pytest.mark.parametrize(
    ("signals", "limit", "expected", "code"),
    [
        (2, None, "interrupted SIGTERM received\nlast words\n", 143),
        (1, None, "interrupted SIGTERM received\nlast words\n", 143),
        (0, 4.0, "interrupted the time limit of 4 s was nearly reached\nlast words\n", 1),
    ],
    ids=["signals", "one signal and its limits", "time limit"],
)
def test_each_step_follows_if_the_one_before_does_not_help(signals, limit, expected, code):
    program = STOP.format(limit=limit, before="")
    with started([sys.executable, "-c", program], env=ours(), **PIPES) as process:
        assert process.stdout.readline() == "go\n"
        for _ in range(signals):
            process.terminate()
            time.sleep(0.3)
        shown, _ = finish(process, 30)
    assert (shown, process.returncode) == (expected, code)


def test_a_signal_that_is_passed_on_counts_once():
    program = STOP.format(limit=None, before="stopping.TWICE_SECONDS = 1.0")
    with started([sys.executable, "-c", program], env=ours(), **PIPES) as process:
        assert process.stdout.readline() == "go\n"
        process.terminate()
        time.sleep(0.2)
        process.terminate()
        time.sleep(0.3)
        assert process.poll() is None
        process.kill()
        shown, _ = finish(process, 30)
    assert shown == ""


def test_what_nohup_ignores_stays_ignored():
    before = "signal.signal(signal.SIGHUP, signal.SIG_IGN)"
    program = STOP.format(limit=None, before=before)
    with started([sys.executable, "-c", program], env=ours(), **PIPES) as process:
        assert process.stdout.readline() == "go\n"
        for _ in range(3):
            process.send_signal(signal.SIGHUP)
            time.sleep(0.3)
        assert process.poll() is None
        process.terminate()
        finish(process, 30)
    assert process.returncode == 143


HELPERS = """
import multiprocessing, os, signal, subprocess, time
from savanna.shield import ignore_instead, shielded
with shielded():
    if os.fork() == 0:
        ignore_instead()
        program = subprocess.Popen(["sleep", "60"])
        fork = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
        fork.start()
        os.kill(os.getpid(), signal.SIGTERM)
        program.terminate()
        fork.terminate()
        fork.join(5)
        print("alive", program.wait(5), fork.exitcode, flush=True)
        os._exit(0)
os.wait()
"""


def test_programs_that_an_environment_starts_are_ended_by_signals():
    assert run([sys.executable, "-c", HELPERS], env=ours()).stdout == "alive -15 -15\n"
