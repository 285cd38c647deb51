"""The command line without training: help, values, and one clear line for every mistake."""

import json

import pytest

from savanna.cli import main
from savanna.cli.values import duration, literal, pairs, stop_rules
from savanna.errors import UsageError


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400), ("1d", 86400)]
)
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize("text", ["soon", "10 parsecs", "", "-3"])
def test_bad_durations(text):
    with pytest.raises(UsageError, match="is not a duration"):
        duration(text)


def test_values():
    assert pairs("--set", ["a=1", "b=x=y"]) == {"a": "1", "b": "x=y"}
    assert [literal(t) for t in ("1e-4", "true", "None", "[1, 2]", "small", "'a'")] == [
        1e-4,
        True,
        None,
        [1, 2],
        "small",
        "a",
    ]
    assert stop_rules(["return=18", "seconds=60"]) == ({"return": 18.0, "seconds": 60.0}, True)
    assert stop_rules(["none", "iterations=2"]) == ({"iterations": 2.0}, False)


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["trian"], "unknown command 'trian'. Did you mean 'train'?"),
        (["train", "pnog"], "unknown experiment 'pnog'. Did you mean 'pong'?"),
        (["train", "--sed", "3"], "unknown option '--sed', did you mean --seed?"),
        (["train", "pong", "extra"], "unknown argument 'extra'"),
        (["train", "pong", "--seed", "x"], "invalid int value: 'x'"),
        (["train", "pong", "--set", "lr"], "--set lr: write it as key=value"),
        (["train", "pong", "--stop", "retrun=1"], "--stop retrun: unknown rule"),
        (["train", "pong", "--stop", "return=high"], "not a number"),
        (["train", "pong", "--keep", "0"], "--keep 0: must be at least 1"),
        (["train", "pong", "--max-duration", "soon"], "is not a duration"),
        (["train", "pong", "--env", "PnogNoFrameskip-v4"], "Did you mean 'PongNoFrameskip-v4'"),
        (["train", "cartpole", "--env", "CartPoll-v1"], "unknown environment 'CartPoll-v1'"),
        (["train", "cartpole", "--env", "PongNoFrameskip-v4"], "savanna train atari"),
        (["train", "--resume", "nowhere"], "no run 'nowhere'"),
        (["train", "--storage", "/proc/nowhere"], "cannot write to the storage"),
        (["train", "--storage", "gopher://x/y"], "cannot write to the storage"),
        (["train", "--runs-root", "/proc/nowhere"], "cannot write to --runs-root"),
        (["train", "--run", "APEX"], "no algorithm 'APEX'"),
        (["evaluate", "nowhere"], "no run 'nowhere'"),
        (["evaluate", "--episodes", "0"], "--episodes 0"),
        (["video", "nowhere"], "no run 'nowhere'"),
        (["report", "nowhere"], "no run 'nowhere'"),
        (["export", "nowhere"], "no run 'nowhere'"),
    ],
)
def test_a_mistake_is_one_line_and_code_2(argv, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    printed = capsys.readouterr()
    lines = [line for line in printed.err.splitlines() if not line.startswith("translated")]
    assert len(lines) == 1 and says in lines[0], printed.err
    assert printed.out == ""
    assert not list(tmp_path.glob("runs/*/*")), "nothing may be left behind"


def test_all_mistakes_come_at_once(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "pong", "--keep", "0", "--num-samples", "0", "--stop", "x=1"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 3


@pytest.mark.parametrize("command", [[], ["train"], ["evaluate"], ["video"], ["runs"], ["export"]])
def test_help_everywhere(command, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*command, "--help"])
    assert caught.value.code == 0
    assert "usage: savanna" in capsys.readouterr().out


def test_debug_shows_where(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["--debug", "evaluate", "nowhere"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_no_runs_yet(capsys, tmp_path):
    assert main(["runs", "--runs-root", str(tmp_path)]) == 0
    assert "no runs" in capsys.readouterr().out
    assert main(["runs", "--json", "--runs-root", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out) == []
