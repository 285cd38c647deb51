"""What reaches the terminal: results on standard output, messages on standard error, no noise."""

import json
import os
import sys

import pytest
from command import IMPORTABLE, ours, run, savanna, savanna_command

from savanna.cli import main
from savanna.session.log_file import quiet
from savanna.streams import noise_to, say, show

NOISY = """
import os
import gymnasium as gym

print("noise of Python")
os.write(1, b"noise of C on 1\\n")
os.write(2, b"noise of C on 2\\n")


class Noisy(gym.Env):
    observation_space = gym.spaces.Discrete(3)
    action_space = gym.spaces.Discrete(2)

    def __init__(self):
        print("noise of making")

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return 0, {}

    def step(self, action):
        self.t += 1
        return self.t % 3, float(action), self.t >= 10, False, {}
"""


@pytest.fixture
def noisy(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    return tmp_path


def test_json_is_pure_whatever_an_environment_prints(noisy):
    checked = savanna("check-env", "noisy:Noisy", "--json", cwd=noisy)
    assert json.loads(checked.stdout)["ok"]
    assert all(f"noise of {what}" in checked.stderr for what in ("Python", "C on 1", "making"))
    planned = savanna("train", "gym", "--env", "noisy:Noisy", "--dry-run", "--json", cwd=noisy)
    assert json.loads(planned.stdout)["env"] == "noisy:Noisy"
    assert planned.stderr == ""


def test_train_prints_the_path_of_its_run_and_nothing_else(noisy):
    words = "--stop none --stop iterations=1 --set train_batch_size_per_learner=256 --no-report"
    result = savanna("train", "gym", "--env", "noisy:Noisy", *words.split(), cwd=noisy)
    assert result.stdout == f"{(noisy / 'runs/latest').resolve()}\n"
    assert "noise" not in result.stderr
    played = savanna("evaluate", "--episodes", "1", cwd=noisy)
    assert (
        played.stderr == "checkpoint 0: mean 10.00 of 1 episode\n" or "noise" not in played.stderr
    )
    assert played.stdout.splitlines()[1].split()[2] == "-", "one episode has no interval"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["evaluate", "--checkpoint", "last"], "checkpoint 2: mean"),
        (["export"], ""),
        (["video"], ""),
        (["report"], ""),
    ],
)
def test_no_warning_of_a_library_reaches_the_terminal(words, says, copied):
    result = savanna(*words, cwd=copied)
    assert result.returncode == 0
    assert len(result.stderr.splitlines()) == bool(says) and result.stderr.startswith(says)
    assert result.stdout


def test_debug_shows_the_noise_but_not_among_the_results(copied):
    result = savanna("--debug", "evaluate", "--json", cwd=copied)
    assert json.loads(result.stdout) and "DeprecationWarning" in result.stderr


def test_only_ours_is_shown_and_blocks_may_be_nested(tmp_path, capfd):
    inner = tmp_path / "log"
    with (tmp_path / "outer").open("w") as outer, noise_to(outer.fileno()):
        print("noise")
        with quiet(inner):
            print("logged", file=sys.stderr)
            os.write(1, b"of C\n")
            say("progress")
        say("message")
        show("result")
        os.write(2, b"more noise\n")
    os.write(1, b"end\n")
    assert capfd.readouterr() == ("result\nend\n", "progress\nmessage\n")
    assert inner.read_text() == "logged\nof C\n"
    assert (tmp_path / "outer").read_text() == "noise\nmore noise\n"


def test_printing_to_a_log_that_is_full_fails_nothing():
    with noise_to(os.open("/dev/full", os.O_WRONLY)):
        print("x" * 100_000)
        print("a line", file=sys.stderr, flush=True)


def test_who_reads_no_further_is_no_failure(copied):
    reading, writing = os.pipe()
    os.close(reading)
    result = run(savanna_command("runs"), cwd=copied, env=ours(), stdout=writing)
    os.close(writing)
    assert (result.returncode, result.stderr) == (0, "")


def test_results_that_cannot_be_written_are_a_failure(copied):
    with open("/dev/full", "w") as nowhere:  # noqa: PTH123
        result = run(savanna_command("runs"), cwd=copied, env=ours(), stdout=nowhere)
    assert result.returncode == 1
    assert result.stderr == "savanna: No space left on device\n"


def test_json_of_train_needs_a_dry_run(capsys):
    assert main(["train", "cartpole", "--json"]) == 2
    assert "--dry-run" in capsys.readouterr().err


def test_a_program_that_uses_us_keeps_its_streams(tmp_path):
    program = (
        "from savanna.cli import main; import sys; before = sys.stdout, sys.stderr\n"
        f"print(main(['runs', '--runs-root', {str(tmp_path)!r}]))\n"
        "assert (sys.stdout, sys.stderr) == before"
    )
    result = run([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": IMPORTABLE})
    assert result.stdout.splitlines()[-1] == "0" and result.stderr == ""
