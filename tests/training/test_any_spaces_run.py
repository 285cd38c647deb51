"""A whole run on an environment with a camera, a vector and continuous actions."""

import json

import numpy as np
from command import savanna

import savanna as package
from savanna.runs.directory import RunDirectory

ROVER = """
import gymnasium as gym
import numpy as np


class Rover(gym.Env):
    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gym.spaces.Dict(
        {
            "camera": gym.spaces.Box(0, 255, (24, 32, 3), np.uint8),
            "speed": gym.spaces.Box(-9, 9, (2,), np.float64),
        }
    )
    action_space = gym.spaces.Box(np.float32([-1, 0]), np.float32([1, 8]))

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.speed, self.steps = np.zeros(2), 0
        return self.look(), {}

    def look(self):
        return {"camera": self.render(), "speed": self.speed}

    def step(self, action):
        assert self.action_space.contains(action)
        self.speed = np.clip(self.speed + action, -9, 9)
        self.steps += 1
        return self.look(), -float(abs(self.speed[0])), self.steps == 10, False, {}

    def render(self):
        return np.full((24, 32, 3), 10 * self.steps, np.uint8)
"""


def test_it_is_trained_evaluated_filmed_exported_and_loaded(tmp_path, monkeypatch):
    (tmp_path / "rover_env.py").write_text(ROVER)
    settings = ("train_batch_size_per_learner=128", "minibatch_size=64", "num_epochs=1")
    result = savanna(
        "train",
        "gym",
        "--env",
        "rover_env:Rover",
        *(word for setting in settings for word in ("--set", setting)),
        "--set",
        "model_config.picture_units=16",
        "--num-env-runners",
        "1",
        "--stop",
        "iterations=2",
        "--evaluate-episodes",
        "2",
        cwd=tmp_path,
    )
    assert result.returncode == 0 and "warning" not in result.stderr, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert run.metrics()[-1]["episode_return_mean"] < 0
    [*_, evaluation] = run.read_json("evaluations.json")
    assert evaluation["length_mean"] == 10
    assert len(list(run.videos.glob("*.mp4"))) == 1

    result = savanna("export", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    model = json.loads((run.path / "model.json").read_text())
    shapes = {given["name"]: given["shape"] for given in model["input"]}
    assert shapes == {"camera": ["batch", 3, 24, 32], "vector": ["batch", 2]}
    assert model["outputs"] == {"action": ["batch", 2]}

    monkeypatch.chdir(tmp_path)
    policy = package.load("latest")
    env = policy.make_env()
    observation, _ = env.reset(seed=0)
    action = policy(observation)
    assert policy.action_space.contains(action) and action.shape == (2,)
    batch = {name: np.stack([part] * 3) for name, part in observation.items()}
    np.testing.assert_allclose(policy(batch), np.stack([action] * 3), atol=1e-5)
    env.step(action)
