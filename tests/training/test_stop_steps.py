"""The steps of a stop where they differ: before training, and in Python programs."""

import signal
import subprocess
import sys
import time

import pytest
from command import finish, ours, started

from savanna.jobs import phases
from savanna.session import stopping
from savanna.session.stopping import Stop


def test_a_failure_is_known_where_no_signal_can_tell_of_it():
    stop = Stop(time.monotonic(), None, exits=False)
    stop.fail("Ray has died.")
    assert stop.reason == stop.failure == "Ray has died."


def test_every_ctrl_c_of_a_python_program_is_heard(monkeypatch):
    monkeypatch.setattr(stopping, "TWICE_SECONDS", 0.0)
    stop = Stop(time.monotonic(), None, exits=False)
    with stop.listen(), stop.while_training():
        signal.raise_signal(signal.SIGINT)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)


STUCK = """
import ctypes, time
from savanna.session import stopping
stopping.TWICE_SECONDS, stopping.CLOSE_SECONDS = 0.5, {close}
stop = stopping.Stop(time.monotonic(), None)
stop.last_words = lambda: print("last words:", stop.reason, flush=True) or 1
lock, c = ctypes.create_string_buffer(64), ctypes.CDLL(None)
c.pthread_mutex_lock(lock)
with stop.listen():
    print("go", flush=True)
    c.pthread_mutex_lock(lock)  # for ever, and no signal ends it
"""


@pytest.mark.parametrize(("close", "signals"), [(60.0, 2), (2.0, 1)], ids=["twice", "once"])
def test_signals_are_heard_while_the_main_thread_is_stuck_in_c_code(close, signals):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    program = [sys.executable, "-c", STUCK.format(close=close)]
    with started(program, env=ours(), **pipes) as process:
        assert process.stdout.readline() == "go\n"
        for _ in range(signals):
            time.sleep(1.0)
            process.terminate()
        shown, errors = finish(process, 30)
    assert (process.returncode, shown) == (143, "last words: SIGTERM received\n"), errors


def test_a_handled_signal_is_not_taken_for_an_unheard_one(monkeypatch):
    monkeypatch.setattr(stopping, "STOP_SECONDS", 0.5)
    stop, last = Stop(time.monotonic(), None), []
    monkeypatch.setattr(stop, "_exit", lambda: last.append("exit"))
    monkeypatch.setattr(stop, "_kick", lambda: last.append("kick"))
    with stop.listen(), stop.while_training():
        signal.raise_signal(signal.SIGTERM)
        time.sleep(0.4)
        assert stop.step == stopping.ASK and not last
        assert stop._unheard.arrived() == []


DEAF = """
import sys, time
from pathlib import Path
from savanna.jobs import phases
from savanna.session import command, stopping
from savanna.planning.request import TrainRequest

def starting(*anything):
    while True:
        try:
            print("go", flush=True)
            time.sleep(30)
        except KeyboardInterrupt:  # as if it was in C++
            pass

stopping.TWICE_SECONDS = stopping.CLOSE_SECONDS = 0.5
command._train = starting
with phases.outcome():
    command.train(TrainRequest("pong", max_duration={limit}))
"""


@pytest.mark.parametrize(
    ("limit", "reason", "code", "phase"),
    [
        (None, "SIGTERM received", 143, "stopped"),
        (2.0, "the time limit of 2 s was nearly reached", 1, "failed"),
    ],
    ids=["two signals", "time limit"],
)
def test_the_process_says_why_it_exits_before_training(limit, reason, code, phase, tmp_path):
    log = tmp_path / phases.LOG.format("one")
    command = [sys.executable, "-c", DEAF.format(limit=limit)]
    with (
        log.open("w") as errors,
        started(command, stdout=subprocess.PIPE, stderr=errors, env=ours(SAVANNA_JOB="one")) as p,
    ):
        assert p.stdout.readline() == "go\n"
        if limit is None:
            for _ in range(2):
                p.terminate()
                time.sleep(0.8)
        finish(p, 30)
    assert p.returncode == code, log.read_text()
    text = f"Stopped: {reason}, before training began."
    assert log.read_text().splitlines()[-1] == f"savanna: {text}"
    last = phases.read((tmp_path / phases.FILE.format("one")).read_text())[-1]
    assert (last["phase"], last["cause"], last["exit_code"]) == (phase, text, code)
