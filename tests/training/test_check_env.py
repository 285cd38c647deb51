"""`savanna check-env`: what it prints, and what it refuses to check."""

import json

import pytest
from checked_envs import write

from savanna.cli import main
from savanna.envs.checked_env import CheckedEnv
from savanna.envs.conformance import CHECKS, run_checks


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_good_one_passes_every_check(folder):
    findings = run_checks(CheckedEnv(write(folder, "good"), {"length": 8}))
    assert {f.check for f in findings} == {*CHECKS, "gymnasium"}
    assert [f for f in findings if f.verdict != "ok"] == []
    assert "savanna train gym --env checked_good:Env" in findings[0].text


def test_all_findings_come_at_once(folder, capsys):
    change = """
        metadata = {}
        def step(self, action):
            look, reward, over, *rest = super().step(action)
            return look - 2, float("nan"), int(over), *rest
        """
    env = write(folder, "several", change)
    assert main(["check-env", env]) == 1
    printed = capsys.readouterr()
    verdicts = dict(reversed(line.split()[:2]) for line in printed.out.splitlines())
    wrong = {check for check, verdict in verdicts.items() if verdict == "wrong"}
    assert wrong == {"observations", "numbers", "flags"}
    assert verdicts["films"] == "warning" and verdicts["play"] == "ok"
    assert printed.err == f"{env}: 3 wrong, 1 warning\n"


def test_json_and_what_the_environment_prints(folder, capsys):
    change = """
        def __init__(self, render_mode=None, size=1):
            super().__init__(render_mode)
            self.size = size
        def step(self, action):
            print("noise")
            return super().step(action)
        """
    env = write(folder, "noisy", change)
    assert main(["check-env", env, "--set", "env_config.size=3", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert content["env"] == env and content["env_config"] == {"size": 3} and content["ok"] is True
    assert {c["check"] for c in content["checks"]} == {*CHECKS, "gymnasium"}
    assert all(c["verdict"] == "ok" for c in content["checks"])


@pytest.mark.parametrize(
    ("env", "command"),
    [
        ("CartPole-v1", "savanna train gym --env CartPole-v1"),
        ("PongNoFrameskip-v4", "savanna train atari --env PongNoFrameskip-v4"),
    ],
)
def test_known_environments(env, command, capsys):
    assert main(["check-env", env]) == 0
    out = capsys.readouterr().out
    assert command in out and "steps per second" in out and "wrong" not in out


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["check-env"], "required: ENV"),
        (["check-env", "nowhere_at_all:Env"], "no module 'nowhere_at_all'"),
        (["check-env", "CartPoll-v1"], "unknown environment 'CartPoll-v1'"),
        (["check-env", "simple_tag"], "is a particle world; check-env needs a single-agent"),
        (["check-env", "PnogNoFrameskip-v4"], "Did you mean 'PongNoFrameskip-v4'"),
        (["check-env", "CartPole-v1", "--set", "lr=3"], "only env_config.KEY=VALUE"),
        (["check-env", "CartPole-v1", "--set", "env_config.mas=3"], "no such keyword"),
        (["check-env", "CartPole-v1", "--jsn"], "did you mean --json?"),
    ],
)
def test_what_cannot_be_checked_is_one_line_and_code_2(argv, says, capsys, folder):
    assert main(argv) == 2
    printed = capsys.readouterr()
    assert says in printed.err and len(printed.err.splitlines()) == 1 and printed.out == ""
