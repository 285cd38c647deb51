"""Films and ONNX models, of CartPole (a real tiny run) and of Pong (an untrained network)."""

import json

import gymnasium as gym
import imageio_ffmpeg
import numpy as np
import onnxruntime
import pytest

from savanna.cli import main
from savanna.errors import SavannaError, UsageError
from savanna.evaluation import export, load_policy, record_video
from savanna.evaluation import onnx_export as onnx_module
from savanna.evaluation.policy import MODULE
from savanna.modules.atari import AtariModule
from savanna.runs.checkpoints import CheckpointInfo, describe
from savanna.runs.directory import RunDirectory


@pytest.fixture
def cartpole(copied) -> RunDirectory:
    return RunDirectory.find("latest", copied / "runs")


@pytest.fixture(scope="module")
def pong(tmp_path_factory) -> RunDirectory:
    """A run directory with two checkpoints of untrained networks."""
    run = RunDirectory.claim(tmp_path_factory.mktemp("runs") / "pong", "one")
    settings = {"frame_size": 42, "frame_stack": 4}
    run.write_json(
        "config.json", {"experiment": "pong", "env": "PongNoFrameskip-v4", "env_config": settings}
    )
    for number in (0, 1):
        module = AtariModule(
            observation_space=gym.spaces.Box(0, 255, (4, 42, 42), np.uint8),
            action_space=gym.spaces.Discrete(6),
            inference_only=False,
            model_config={"encoder": "small", "standardize_frames": 100},
        )
        module.save_to_path(run.checkpoint_path(number) / MODULE)
        info = CheckpointInfo(number, number, 1000 * number, 1.0, -20.0)
        describe(run.checkpoint_path(number), info)
    return run


def film(path) -> tuple[dict, list[np.ndarray]]:
    reader = imageio_ffmpeg.read_frames(str(path))
    details = next(reader)
    width, height = details["size"]
    frames = [np.frombuffer(f, np.uint8).reshape(height, width, 3) for f in reader]
    return details, frames


def test_a_film_of_pong(pong):
    details, frames = film(record_video(pong, "last", max_steps=40))
    assert details["size"] == (480, 420 + 24) and details["fps"] == 15
    assert details["codec"] == "h264" and "yuv420p" in details["pix_fmt"]
    assert len(frames) == 41
    changes = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, frames[1:], strict=False)]
    assert max(changes) > 0.1, "the film stands still"
    assert (pong.videos / "checkpoint-000001.jpg").is_file()


def test_checkpoints_side_by_side(pong):
    _, single = film(record_video(pong, "0", max_steps=5))
    details, frames = film(record_video(pong, all_checkpoints=True, max_steps=5))
    assert details["size"] == (960, 444)
    assert np.abs(frames[-1][:, :480].astype(int) - single[-1]).mean() < 4


def test_a_film_of_cartpole_through_the_command(cartpole, capsys):
    assert main(["video", str(cartpole.path), "--checkpoint", "0"]) == 0
    path = capsys.readouterr().out.strip()
    details, frames = film(path)
    assert details["size"] == (600, 424) and details["fps"] == 50 and len(frames) > 5


def test_training_made_a_film_and_a_report(trained):
    run = RunDirectory.find("latest", trained / "runs")
    best = run.checkpoint("best").number
    assert [p.name for p in run.videos.glob("*.mp4")] == [f"checkpoint-{best:06d}.mp4"]
    assert "video/mp4" in (run.path / "report.html").read_text()


@pytest.mark.parametrize("which", ["pong", "cartpole"])
def test_the_exported_policy_acts_as_the_checkpoint(which, request, tmp_path):
    run = request.getfixturevalue(which)
    model = export(run, "last", output=tmp_path)
    session = onnxruntime.InferenceSession(str(model))
    policy = load_policy(run.checkpoint_path(run.checkpoint("last").number))
    rng = np.random.default_rng(1)
    for batch in (1, 7):
        if which == "pong":
            observations = rng.integers(0, 255, (batch, 4, 42, 42), dtype=np.uint8)
        else:
            observations = rng.normal(size=(batch, 4)).astype(np.float32)
        logits, actions = session.run(["logits", "action"], {"observations": observations})
        if hasattr(policy.module, "_bfloat16"):
            policy.module._bfloat16 = False
        np.testing.assert_allclose(logits, policy.logits(observations), atol=1e-3)
        assert actions.shape == (batch,)
    description = json.loads((tmp_path / "model.json").read_text())
    assert description["checkpoint"] == run.checkpoint("last").number
    assert description["check"]["observations"] >= 256
    if which == "pong":
        assert description["preprocessing"]["actions"][:2] == ["NOOP", "FIRE"]
        assert description["input"] == {
            "name": "observations",
            "dtype": "uint8",
            "shape": ["batch", 4, 42, 42],
        }


def test_a_model_that_acts_differently_is_refused(pong, tmp_path, monkeypatch):
    written = onnx_module.write_graph

    def spoil(policy, observations, model):
        weight = policy.module.policy_head.weight.data
        weight += 0.5
        written(policy, observations, model)
        weight -= 0.5

    monkeypatch.setattr(onnx_module, "write_graph", spoil)
    with pytest.raises(SavannaError, match="does not act like the checkpoint"):
        export(pong, "last", output=tmp_path)
    assert not list(tmp_path.iterdir())


def test_export_without_onnx_says_where_to_do_it(cartpole, monkeypatch):
    """As in the images, which do not contain it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match="savanna fetch"):
        export(cartpole)
