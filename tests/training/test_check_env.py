"""`savanna check-env`: every kind of mistake is found, and by the right check."""

import json
import textwrap

import pytest

from savanna.cli import main
from savanna.envs.checked_env import CheckedEnv
from savanna.envs.conformance import CHECKS, run_checks

GOOD = '''
import random
from pathlib import Path

import gymnasium as gym
import numpy as np


class Env(gym.Env):
    """A corridor; a draught may push the walker. Nothing is wrong with it."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, render_mode=None, length=6):
        self.render_mode, self.length = render_mode, length
        self.observation_space = gym.spaces.Box(0, length, (2,), np.float32)
        self.action_space = gym.spaces.Discrete(2)

    def look(self):
        return np.asarray([self.place, self.wind], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.wind = 0, self.np_random.random()
        return self.look(), {}

    def step(self, action):
        self.wind = self.np_random.random()
        self.place = int(np.clip(self.place + (1 if action else -1), 0, self.length))
        over = self.place == self.length
        return self.look(), float(over), over, False, {}

    def render(self):
        picture = np.zeros((16, 32, 3), np.uint8)
        picture[:, self.place] = 255
        return picture
'''

# case: (the check that must find it, its verdict, a word of its message, what is changed)
BROKEN = {
    "continuous actions": (
        "spaces",
        "wrong",
        "only Discrete",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.action_space = gym.spaces.Box(-1, 1, (1,), np.float32)
        def step(self, action):
            return super().step(action[0] > 0)
        """,
    ),
    "actions from 1": (
        "spaces",
        "wrong",
        "start at 1",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.action_space = gym.spaces.Discrete(2, start=1)
        def step(self, action):
            return super().step(action - 1)
        """,
    ),
    "observations without a size": (
        "spaces",
        "wrong",
        "no fixed size",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.observation_space = gym.spaces.Sequence(gym.spaces.Discrete(9))
        def look(self):
            return (self.place, 1)
        """,
    ),
    "no spaces": (
        "spaces",
        "wrong",
        "action_space is not set",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            del self.action_space
        """,
    ),
    "a step raises": (
        "play",
        "wrong",
        "step 5 raised KeyError",
        """
        steps = 0
        def step(self, action):
            self.steps += 1
            if self.steps == 5:
                raise KeyError("door")
            return super().step(action)
        """,
    ),
    "a late error": (
        "play",
        "wrong",
        "ZeroDivisionError",
        """
        steps = 0
        def step(self, action):
            self.steps += 1
            return super().step(action if self.steps < 900 else 1 // 0)
        """,
    ),
    "no second reset": (
        "play",
        "wrong",
        "reset 2 raised RuntimeError",
        """
        resets = 0
        def reset(self, *, seed=None, options=None):
            self.resets += 1
            if self.resets == 2:
                raise RuntimeError("used up")
            return super().reset(seed=seed, options=options)
        """,
    ),
    "four results": (
        "play",
        "wrong",
        "step 1 returned a tuple of 4",
        """
        def step(self, action):
            look, reward, over, _, info = super().step(action)
            return look, reward, over, info
        """,
    ),
    "another dtype": (
        "observations",
        "wrong",
        "float64",
        """
        def look(self):
            return super().look().astype(float)
        """,
    ),
    "a list": (
        "observations",
        "wrong",
        "not a NumPy array",
        """
        def look(self):
            return super().look().tolist()
        """,
    ),
    "out of bounds": (
        "observations",
        "wrong",
        "below 0",
        """
        def look(self):
            return super().look() - np.float32(1 if self.place == 3 else 0)
        """,
    ),
    "another shape": (
        "observations",
        "wrong",
        "shape",
        """
        def look(self):
            return super().look()[:1]
        """,
    ),
    "NaN observed": (
        "numbers",
        "wrong",
        "NaN or infinity",
        """
        def look(self):
            look = super().look()
            look[1] = np.nan if self.place == 2 else look[1]
            return look
        """,
    ),
    "endless reward": (
        "numbers",
        "wrong",
        "reward is inf",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, np.inf if self.place == 2 else reward, *rest
        """,
    ),
    "reward in words": (
        "numbers",
        "wrong",
        "type str",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, str(reward), *rest
        """,
    ),
    "flags as numbers": (
        "flags",
        "wrong",
        "terminated is 0, of type int",
        """
        def step(self, action):
            look, reward, over, *rest = super().step(action)
            return look, reward, int(over), *rest
        """,
    ),
    "no end": (
        "episodes",
        "warning",
        "no end in 10,000",
        """
        def step(self, action):
            look, _, _, *rest = super().step(action)
            return look, 0.0, False, *rest
        """,
    ),
    "chance without the seed": (
        "seeds",
        "wrong",
        "a different observation",
        """
        def step(self, action):
            look, *rest = super().step(action)
            look[1] = random.random()
            return look, *rest
        """,
    ),
    "reset forgets something": (
        "seeds",
        "wrong",
        "reset 1 gave a different observation",
        """
        age = 0.0
        def look(self):
            Env.age += 0.001
            return np.asarray([self.place, Env.age % 1], np.float32)
        """,
    ),
    "state on the class": (
        "isolation",
        "wrong",
        "a second instance changes the first",
        """
        @property
        def place(self):
            return Env.shared
        @place.setter
        def place(self, value):
            Env.shared = value
        """,
    ),
    "only one": (
        "isolation",
        "wrong",
        "a second instance cannot be created",
        """
        made = 0
        def __init__(self, render_mode=None):
            Env.made += 1
            if Env.made > 1:
                raise RuntimeError("the port is taken")
            super().__init__(render_mode)
        """,
    ),
    "a relative file": (
        "process",
        "wrong",
        "level.txt",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            Path("level.txt").read_text()
        """,
    ),
    "pictures of floats": (
        "films",
        "wrong",
        "float64",
        """
        def render(self):
            return super().render() / 255
        """,
    ),
    "render mode forgotten": (
        "films",
        "wrong",
        "does not set self.render_mode",
        """
        def __init__(self, render_mode=None):
            super().__init__(None)
        """,
    ),
    "no pictures": (
        "films",
        "warning",
        "no rgb_array",
        """
        metadata = {"render_modes": []}
        """,
    ),
    "a large picture": (
        "size",
        "warning",
        "65,536 numbers",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.observation_space = gym.spaces.Box(0, 255, (256, 256), np.uint8)
        def look(self):
            return np.full((256, 256), self.place, np.uint8)
        """,
    ),
    "info is a list": (
        "gymnasium",
        "wrong",
        "not a dictionary",
        """
        def reset(self, *, seed=None, options=None):
            look, _ = super().reset(seed=seed)
            return look, []
        """,
    ),
    "always the same seed": (
        "gymnasium",
        "warning",
        "should be `None`",
        """
        def reset(self, *, seed=5, options=None):
            return super().reset(seed=seed, options=options)
        """,
    ),
    "closed copies": (
        "close",
        "wrong",
        "OSError",
        """
        def close(self):
            raise OSError("no such window")
        """,
    ),
    "closing twice": (
        "close",
        "wrong",
        "AttributeError",
        """
        window = 1
        def close(self):
            if self.window is None:
                raise AttributeError("'NoneType' object has no attribute 'close'")
            self.window = None
        """,
    ),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "level.txt").write_text("1")
    return tmp_path


def write(folder, name, change="") -> str:
    """A module with the good environment, or with a class that breaks it; returns
    `module:Class`."""
    module = f"checked_{name.replace(' ', '_')}"
    text = GOOD
    if change:
        text += "\n\nGood = Env\n\n\nclass Env(Good):\n"
        text += textwrap.indent(textwrap.dedent(change).strip("\n"), "    ") + "\n"
    (folder / f"{module}.py").write_text(text)
    return f"{module}:Env"


def test_a_good_one_passes_every_check(folder):
    findings = run_checks(CheckedEnv(write(folder, "good"), {"length": 8}))
    assert {f.check for f in findings} == {*CHECKS, "gymnasium"}
    assert [f for f in findings if f.verdict != "ok"] == []
    assert "savanna train gym --env checked_good:Env" in findings[0].text


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_found_by_its_check_alone(name, folder):
    check, verdict, says, change = BROKEN[name]
    findings = run_checks(CheckedEnv(write(folder, name, change), {}))
    bad = [f for f in findings if f.verdict in ("warning", "wrong")]
    assert [(f.check, f.verdict) for f in bad] == [(check, verdict)], bad
    assert says in bad[0].text and "\n" not in bad[0].text + bad[0].fix
    assert bad[0].fix or check == "gymnasium"


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
