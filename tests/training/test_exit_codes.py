"""The table of exit codes in the manual, held against what commands end with."""

import os
import re
import signal
import subprocess
import time

import numpy as np
import psutil
import pytest
from command import ROOT, finish, ours, savanna_command, started
from sample_run import make_run
from waiting import wait_until

from savanna.cli import main, results
from savanna.errors import Interrupted, SavannaError, UsageError
from savanna.streams import ReaderGone


def raising(error: BaseException):
    def run(options) -> int:
        raise error

    return run


def signalled(number: int):
    def run(options) -> int:
        os.kill(os.getpid(), number)
        time.sleep(60)
        return 0

    return run


ENDS = {
    "success": (0, lambda options: 0),
    "the reader has gone": (0, raising(ReaderGone())),
    "failure": (1, raising(SavannaError("it failed"))),
    "the system refuses": (1, raising(OSError(28, "no room", "file"))),
    "a bug": (1, raising(ZeroDivisionError("division by zero"))),
    "wrong usage": (2, raising(UsageError("no such thing"))),
    "SIGHUP": (129, raising(Interrupted("stopped", signal.SIGHUP))),
    "Ctrl-C": (130, raising(Interrupted("stopped", signal.SIGINT))),
    "Ctrl-C where nothing is to be saved": (130, raising(KeyboardInterrupt())),
    "SIGHUP at work": (129, signalled(signal.SIGHUP)),
    "Ctrl-C at work": (130, signalled(signal.SIGINT)),
    "SIGTERM at work": (143, signalled(signal.SIGTERM)),
    "SIGTERM": (143, raising(Interrupted("stopped", signal.SIGTERM))),
}


SLEEPS = """
import time
import gymnasium as gym
class Sleeps(gym.Env):
    observation_space = gym.spaces.Discrete(2)
    action_space = gym.spaces.Discrete(2)
    def reset(self, *, seed=None, options=None):
        open("playing", "w").close()
        time.sleep(100)
"""


@pytest.mark.parametrize("how", ENDS)
def test_a_command_ends_with_the_code_of_the_manual(how, monkeypatch, capsys, tmp_path):
    code, run = ENDS[how]
    monkeypatch.setattr(results, "run_runs", run)
    assert main(["runs", "--runs-root", str(tmp_path)]) == code
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) <= 1 and not any(word in str(lines) for word in ("Traceback", "Errno"))


def test_the_manual_has_all_codes_and_no_others():
    manual = (ROOT / "docs/using.md").read_text()
    table = manual.partition("| exit code |")[2].partition("\n\n")[0]
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)}
    assert codes == {code for code, _ in ENDS.values()}


def test_a_film_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch, capsys):
    from savanna.evaluation import video

    def frames(*anything):
        for index in range(100):
            if index == 30:
                assert any("ffmpeg" in child.name() for child in psutil.Process().children())
                os.kill(os.getpid(), signal.SIGTERM)
            yield np.zeros((64, 64, 3), np.uint8)

    run = make_run(tmp_path)
    monkeypatch.setattr(video, "_frames", frames)
    monkeypatch.setattr(video, "load_team", lambda *_: type("Team", (), {"act": print}))
    before = {*run.path.rglob("*")}
    assert main(["video", str(run.path)]) == 143
    assert capsys.readouterr().err == "savanna: Stopped: SIGTERM received.\n"
    assert {*run.path.rglob("*")} - {run.videos} == before - {run.videos}
    assert not any("ffmpeg" in child.name() for child in psutil.Process().children())


def test_a_command_ends_with_all_that_it_has_started(tmp_path):
    (tmp_path / "sleeps.py").write_text(SLEEPS)
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = savanna_command("check-env", "sleeps:Sleeps")
    with started(command, cwd=tmp_path, env=ours(), **pipes) as process:
        wait_until(lambda: (tmp_path / "playing").exists(), process=process)
        process.terminate()
        _, errors = finish(process, 30)
    assert process.returncode == 143
    assert errors == "savanna: Stopped: SIGTERM received.\n"
