"""The user's own environments: found, trained on, evaluated, resumed, exported."""

import json
import re
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from command import savanna

from savanna.cli import main
from savanna.envs.custom import find_constructor, is_custom
from savanna.envs.gymnasium_env import EPISODE_LIMIT, Creator, Gymnasium
from savanna.errors import UsageError
from savanna.runs.directory import RunDirectory

PAGE = Path(__file__).parents[2] / "docs" / "using.md"
QUICK = ("--no-video", "--no-report", "--evaluate-episodes", "0")


def documented() -> str:
    """The example of docs/using.md."""
    section = PAGE.read_text().split("## Your own environment")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    return code


@pytest.fixture(scope="module")
def walked(tmp_path_factory) -> Path:
    """A folder in which the documented environment was trained on, as with the installed command:
    without the working folder on Python's path."""
    folder = tmp_path_factory.mktemp("walked")
    (folder / "my_env.py").write_text(documented())
    result = savanna(
        "train",
        "gym",
        "--env",
        "my_env:Walk",
        "--set",
        "env_config.length=5",
        "--stop",
        "iterations=2",
        "--evaluate-episodes",
        "1",
        "--no-video",
        cwd=folder,
        PYTHONSAFEPATH="1",
    )
    assert result.returncode == 0, result.stderr
    return folder


def test_the_documented_example_is_checked_and_short(tmp_path):
    (tmp_path / "my_env.py").write_text(documented())
    assert len([line for line in documented().splitlines() if line.strip()]) <= 15
    result = savanna("check-env", "my_env:Walk", cwd=tmp_path, PYTHONSAFEPATH="1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "savanna train gym --env my_env:Walk" in result.stdout
    assert result.stderr.splitlines()[-1] == "my_env:Walk: 0 wrong, 1 warning", result.stdout


def test_a_run_says_what_it_was_trained_on(walked):
    run = RunDirectory.find("latest", walked / "runs")
    assert run.experiment == "gym" and run.status["state"] == "succeeded"
    assert run.config["env"] == run.config["rllib"]["env"] == "my_env:Walk"
    assert run.config["env_config"] == run.config["rllib"]["env_config"] == {"length": 5}
    assert run.metrics()[-1]["iteration"] == 2 and run.metrics()[-1]["episode_return_mean"] > -50
    (evaluation,) = run.read_json("evaluations.json")
    assert evaluation["episodes"] == 1


def test_evaluate_and_export_make_it_again(walked):
    result = savanna("evaluate", "--episodes", "3", "--json", cwd=walked, PYTHONSAFEPATH="1")
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)[0]["returns"] == pytest.approx([0.97] * 3)  # four steps
    result = savanna("export", cwd=walked, PYTHONSAFEPATH="1")
    assert result.returncode == 0, result.stderr
    model = json.loads((Path(result.stdout.strip()).parent / "model.json").read_text())
    assert model["input"]["shape"] == ["batch", 5] and model["input"]["dtype"] == "float32"
    assert "one-hot" in model["preprocessing"]["steps"][0]
    assert savanna("report", cwd=walked, PYTHONSAFEPATH="1").returncode == 0
    film = savanna("video", cwd=walked, PYTHONSAFEPATH="1")
    assert film.returncode == 1 and "my_env:Walk cannot be filmed" in film.stderr


def test_resume_goes_on_in_it(walked):
    result = savanna(
        "train",
        "--resume",
        "latest",
        "--stop",
        "iterations=3",
        *QUICK,
        cwd=walked,
        PYTHONSAFEPATH="1",
    )
    assert result.returncode == 0, result.stderr
    run = RunDirectory.find("latest", walked / "runs")
    assert [row["iteration"] for row in run.metrics()] == [1, 2, 3]
    assert run.config["env_config"] == {"length": 5}


def test_elsewhere_the_module_is_missed_by_name(walked, tmp_path):
    run = RunDirectory.find("latest", walked / "runs")
    result = savanna("evaluate", run.path, cwd=tmp_path, PYTHONSAFEPATH="1")
    assert result.returncode == 2
    assert f"no module 'my_env' (environment 'my_env:Walk') in {tmp_path}" in result.stderr


def test_a_factory_in_a_package_and_its_film(tmp_path):
    package = tmp_path / "worlds"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "walk.py").write_text(documented())
    (package / "made.py").write_text("""
from pathlib import Path

import numpy as np


def make(render_mode=None):
    from .walk import Walk  # only now, and by a relative name

    class Seen(Walk):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 4}

        def render(self):
            return np.full((32, 32, 3), self.place * 20, np.uint8)

    env = Seen()
    env.render_mode = render_mode
    Path("made.txt").touch()
    return env
""")
    result = savanna(
        "train",
        "cartpole",
        "--env",
        "worlds.made:make",
        "--stop",
        "iterations=1",
        "--evaluate-episodes",
        "1",
        "--no-report",
        cwd=tmp_path,
        PYTHONSAFEPATH="1",
    )
    assert result.returncode == 0 and "warning" not in result.stderr, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert len(list(run.videos.glob("*.mp4"))) == 1
    assert run.config["env"] == "worlds.made:make" and run.experiment == "cartpole"


@pytest.fixture
def files(tmp_path, monkeypatch) -> Path:
    """A user's modules, most of them wrong."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "user_env.py").write_text(documented() + "\n\nNUMBER = 3\n")
    (tmp_path / "user_lost.py").write_text("\nimport not_installed_anywhere\n")
    (tmp_path / "user_syntax.py").write_text("def f(:\n")
    (tmp_path / "user_odd.py").write_text(
        "import gymnasium as gym\n\n"
        "def three(): return 3\n\ndef fails(): raise RuntimeError('no\\nlicence')\n\n"
        "class Reads(gym.Env):\n"
        "    observation_space = gym.spaces.Sequence(gym.spaces.Discrete(2))\n"
        "    action_space = gym.spaces.Discrete(2)\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["gym"], "needs an environment: --env"),
        (["gym", "--env", "user_evn:Walk"], "Did you mean 'user_env'?"),
        (["gym", "--env", "user_env.sub:Walk"], "no module 'user_env.sub'"),
        (["gym", "--env", "user_env:Wolk"], "'user_env' has no 'Wolk'. Did you mean 'Walk'?"),
        (["gym", "--env", "user_env:NUMBER"], "cannot be called"),
        (["gym", "--env", "user_lost:Env"], "'not_installed_anywhere' (user_lost.py, line 2)"),
        (["gym", "--env", "user_syntax:Env"], "SyntaxError"),
        (["gym", "--env", "user_odd:three"], "returns a builtins.int, not a gymnasium.Env"),
        (["gym", "--env", "user_odd:fails"], "failed: RuntimeError: no licence"),
        (["gym", "--env", "user_env:Walk", "--set", "env_config.lenght=3"], "'length'"),
        (["gym", "--env", "CartPole-v1", "--set", "env_config.lenght=3"], "no such keyword"),
        (["gym", "--env", "user_odd:Reads"], "which has no fixed size"),
        (["gym", "--env", "ALE/Pong-v5"], "savanna train atari --env ALE/Pong-v5"),
        (["pong", "--env", "user_env:Walk"], "savanna train gym --env user_env:Walk"),
        (["atari", "--env", "user_env:Walk"], "savanna train gym --env user_env:Walk"),
        (["atari", "--env", "Acrobot-v1"], "savanna train gym --env Acrobot-v1"),
        (["particle", "--env", "Acrobot-v1"], "savanna train gym --env Acrobot-v1"),
    ],
)
def test_a_mistake_is_one_line_before_anything_starts(argv, says, files, capsys):
    assert main(["train", *argv]) == 2
    printed = capsys.readouterr()
    assert says in printed.err and len(printed.err.splitlines()) == 1, printed.err
    assert printed.out == "" and not (files / "runs").exists()


def test_the_searched_folder_is_named_and_not_left_on_the_path(files):
    before = list(sys.path)
    with pytest.raises(UsageError, match=re.escape(str(files))):
        find_constructor("user_nowhere:Env")
    assert find_constructor("user_env:Walk").__name__ == "Walk"
    assert sys.path == before


def test_names():
    assert is_custom("my_env:Walk") and is_custom("a.b.c:make_env")
    assert not any(map(is_custom, ("CartPole-v1", "ALE/Pong-v5", "pkg:Walk-v0", "a:b:c", ":A")))


def test_the_creator_is_pickled_as_a_name(files):
    import pickle

    creator = pickle.loads(pickle.dumps(Creator("user_env:Walk")))
    assert creator({"length": 3}).observation_space.shape == (3,)
    assert len(pickle.dumps(creator)) < 200


class Shows(gym.Env):
    """An environment whose observations are any sample of `space`; it never ends."""

    def __init__(self, space):
        self.observation_space, self.action_space = space, gym.spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.observation_space.seed(seed)
        return self.observation_space.sample(), {}

    def step(self, action):
        return self.observation_space.sample(), 0.0, False, False, {}


DARK_EDGE = gym.spaces.Box(
    np.zeros((3, 4), np.uint8), np.repeat(np.uint8([[0], [255], [9]]), 4, axis=1), dtype=np.uint8
)
"""The first row of pixels can only be 0."""
PICTURE_AND_SPEED = gym.spaces.Dict(
    {
        "picture": gym.spaces.Box(0, 255, (6, 6), np.uint8),
        "speed": gym.spaces.Box(0, 1, (1,), np.float32),
    }
)


@pytest.mark.parametrize(
    ("space", "size", "low", "high"),
    [
        (gym.spaces.Box(-2, 2, (3,), np.float32), 3, -2, 2),
        (gym.spaces.Box(-2, 2, (3, 2), np.float64), 6, -2, 2),
        (gym.spaces.Box(0, 255, (4, 4, 3), np.uint8), 48, 0, 1),
        (gym.spaces.Dict({"bytes": gym.spaces.Box(0, 255, (9,), np.uint8)}), 9, 0, 1),
        (DARK_EDGE, 12, 0, 1),
        (PICTURE_AND_SPEED, 37, 0, 1),
        (gym.spaces.Tuple([gym.spaces.Box(0, 255, (2,), np.uint8)]), 2, 0, 1),
        (gym.spaces.Discrete(5, start=2), 5, 0, 1),
        (gym.spaces.MultiDiscrete([2, 3]), 5, 0, 1),
        (gym.spaces.Dict({"a": gym.spaces.Discrete(2), "b": gym.spaces.Box(0, 9, (2,))}), 4, 0, 9),
    ],
)
def test_the_network_sees_a_vector_of_float32(space, size, low, high, monkeypatch):
    monkeypatch.setattr(Gymnasium, "make", lambda *_: Shows(space))
    env = Gymnasium("any:Thing", {}).make_flat()
    seen = [env.reset(seed=0)[0], *(env.step(0)[0] for _ in range(50))]
    assert all(o.dtype == np.float32 and o.shape == (size,) for o in seen)
    assert all(env.observation_space.contains(o) for o in seen)
    values = np.stack(seen)
    assert low <= values.min() < values.max() <= high
    assert values.max() > (low + high) / 2  # not shrunk


def test_bounds_beyond_float32_are_infinite(monkeypatch):
    most = np.finfo(np.float64).max
    space = gym.spaces.Box(
        np.float64([-most, -np.inf, -1]), np.float64([most, np.inf, 1]), dtype=np.float64
    )
    monkeypatch.setattr(Gymnasium, "make", lambda *_: Shows(space))
    seen = Gymnasium("any:Thing", {}).make_flat().observation_space
    assert seen.dtype == np.float32
    assert seen.low.tolist() == [-np.inf, -np.inf, -1]
    assert seen.high.tolist() == [np.inf, np.inf, 1]


def test_an_episode_without_an_end_is_cut_where_no_limit_is_set(monkeypatch):
    monkeypatch.setattr(Gymnasium, "make", lambda *_: Shows(gym.spaces.Discrete(2)))
    env = Gymnasium("any:Thing", {}).make_flat()
    env.reset(seed=0)
    ends = [env.step(0)[3] for _ in range(EPISODE_LIMIT)]
    assert ends.index(True) == EPISODE_LIMIT - 1
    monkeypatch.undo()
    limited = Gymnasium("Acrobot-v1", {"max_episode_steps": 7}).make_flat()
    limited.reset(seed=0)
    assert [limited.step(0)[3] for _ in range(7)].index(True) == 6
