"""The package is `savanna`: a user's own `training` is theirs, and old checkpoints load."""

import importlib
import itertools
import pickle
import shutil
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from command import savanna

from savanna.evaluation.policy import MODULE, load_policy
from savanna.modules.atari import AtariModule
from savanna.old_names import old_names

OLD = Path(__file__).with_name("old_checkpoint") / "class_and_ctor_args.pkl"
"""As a Pong run wrote it when the package was called `training`."""

WALK = """
import gymnasium as gym

class Walk(gym.Env):
    observation_space = gym.spaces.Box(-10, 10, (1,))
    action_space = gym.spaces.Discrete(2)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.at, self.steps = 0.0, 0
        return self._seen(), {}

    def step(self, action):
        self.at += 1 if action else -1
        self.steps += 1
        return self._seen(), float(action), self.steps >= 8, False, {}

    def _seen(self):
        import numpy as np
        return np.array([self.at], np.float32)
"""


@pytest.fixture
def old_checkpoint(tmp_path):
    with old_names():
        _, arguments = pickle.loads(OLD.read_bytes())["ctor_args_and_kwargs"]
    module = AtariModule(**arguments)
    module.save_to_path(tmp_path / MODULE)
    assert b"training.modules.atari" in OLD.read_bytes()
    shutil.copy(OLD, tmp_path / MODULE)
    return tmp_path


@pytest.mark.parametrize("theirs", [None, ModuleType("training")])
def test_a_checkpoint_of_the_old_name_loads(theirs, old_checkpoint, monkeypatch):
    if theirs is not None:
        monkeypatch.setitem(sys.modules, "training", theirs)
    spec = importlib.import_module("savanna.modules.atari").__spec__
    policy = load_policy(old_checkpoint)
    assert type(policy.module) is AtariModule
    actions = policy.act(np.zeros((3, *policy.module.observation_space.shape), np.uint8))
    assert actions.shape == (3,)
    assert sys.modules.get("training") is theirs
    assert importlib.import_module("savanna.modules.atari").__spec__ is spec
    assert spec.name == "savanna.modules.atari"


def test_old_names_are_for_pickles_alone():
    with old_names():
        assert pickle.loads(b"ctraining.errors\nUsageError\n.").__module__ == "savanna.errors"
    with pytest.raises(ModuleNotFoundError):
        pickle.loads(b"ctraining.errors\nUsageError\n.")


def test_others_may_import_meanwhile():
    """MLflow is imported by a thread while checkpoints are read."""
    ended = threading.Event()

    def imports():
        for count in itertools.count():
            name = f"meanwhile_{count}"
            sys.modules[name] = ModuleType(name)
            if count >= 50:
                del sys.modules[f"meanwhile_{count - 50}"]
            if ended.is_set():
                return

    thread = threading.Thread(target=imports)
    thread.start()
    try:
        for _ in range(500):
            with old_names():
                pass
    finally:
        ended.set()
        thread.join()
        for name in [name for name in sys.modules if name.startswith("meanwhile_")]:
            del sys.modules[name]


@pytest.mark.parametrize(
    ("module", "fresh"), [("training.py", True), ("training/worlds.py", False)]
)
def test_a_users_own_training_is_theirs(module, fresh, tmp_path):
    """Case 07: a file or folder of that name beside the environment, or containing it."""
    file = tmp_path / module
    file.parent.mkdir(exist_ok=True)
    file.write_text(WALK)
    env = f"{module.removesuffix('.py').replace('/', '.')}:Walk"
    checked = savanna("check-env", env, cwd=tmp_path, fresh=fresh)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    few = ("--stop", "iterations=1", "--num-env-runners", "0", "--evaluate-episodes", "2")
    trained = savanna(
        "train", "gym", "--env", env, *few, "--no-video", "--no-report", cwd=tmp_path, fresh=fresh
    )
    assert trained.returncode == 0, trained.stderr
