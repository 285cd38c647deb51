"""`savanna train particle` and what follows it, through the real command."""

import csv
import json
import os
import shutil
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import onnxruntime
import pytest
from command import IMPORTABLE, savanna

from savanna.envs.particle.make import make_worlds
from savanna.evaluation import record_video
from savanna.evaluation.team import load_team
from savanna.evaluation.training_films import film_progress
from savanna.runs.directory import RunDirectory
from savanna.runs.films import film_iteration

QUICK = (
    "--set",
    "num_envs_per_env_runner=16",
    "--set",
    "min_sample_timesteps_per_iteration=2000",
    "--set",
    "num_steps_sampled_before_learning_starts=2000",
    "--set",
    "train_batch_size_per_learner=64",
)


@pytest.fixture(scope="module")
def spread(tmp_path_factory) -> Path:
    """A folder with a short run of simple_spread."""
    folder = tmp_path_factory.mktemp("spread")
    result = savanna(
        "train",
        "particle",
        *QUICK,
        "--stop",
        "iterations=4",
        "--checkpoint-freq",
        "2",
        "--film-every",
        "5",
        "--evaluate-episodes",
        "20",
        cwd=folder,
    )
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def run(spread) -> RunDirectory:
    return RunDirectory.find("latest", spread / "runs")


def film(path):
    reader = imageio_ffmpeg.read_frames(str(path))
    details = next(reader)
    width, height = details["size"]
    return details, [np.frombuffer(f, np.uint8).reshape(height, width, 3) for f in reader]


def test_metrics_hold_both_scales_and_what_people_understand(run):
    rows = run.metrics()
    assert len(rows) == 4
    for row in rows:
        assert row["old_return_mean"] == pytest.approx(6 * row["episode_return_mean"] - 225)
        assert 0 <= row["landmarks_covered"] <= 3 and row["collisions"] >= 0
        assert 0 < row["landmark_distance"] < 3
        assert np.isnan(row["catches"]) and np.isnan(row["adversary_return"])
    last = rows[-1]
    assert last["agent_steps"] == 3 * 25 * last["episodes_total"]  # one decision per agent
    assert all(np.isfinite(last[c]) for c in ("policy_loss", "value_loss", "learning_rate"))


def test_random_and_scripted_play_are_in_the_report(run):
    known = run.read_json("references.json")
    assert known["random play"] < known["fixed assignment"] < known["best assignment"]
    page = (run.path / "report.html").read_text()
    assert all(name in page for name in known)
    assert "retired service" in page and "Landmarks covered" in page and "video/mp4" in page


def test_films_on_the_way_show_the_same_episode_at_its_rate_and_size(run):
    films = sorted(run.videos.glob("episode-*.mp4"))
    assert len(films) >= 3 and all(f.with_suffix(".jpg").is_file() for f in films)
    details, frames = film(films[-1])
    assert details["fps"] == 8 and details["size"] == (350, 374) and len(frames) == 26
    changes = [np.abs(a.astype(int) - b).mean() for a, b in zip(frames, frames[1:], strict=False)]
    assert max(changes) > 0.1, "the film stands still"
    _, others = film(films[0])
    assert np.abs(frames[0][24:].astype(int) - others[0][24:]).mean() < 2


def test_early_middle_and_final_behaviour_side_by_side(run, spread):
    details, frames = film(run.videos / "early-middle-final.mp4")
    assert details["size"] == (3 * 350, 374) and details["fps"] == 8
    final = savanna("video", "latest", "--checkpoint", "last", cwd=spread).stdout.strip()
    for place, path in ((0, sorted(run.videos.glob("episode-*.mp4"))[0]), (2, final)):
        assert_same_play(frames, place, path)


def test_the_end_is_shown_also_where_no_film_was_due_then(run, tmp_path):
    copy = RunDirectory(shutil.copytree(run.path, tmp_path / "copy"))
    first, *later = sorted(copy.videos.glob("episode-*.mp4"))
    for path in later:
        path.unlink()
    details, frames = film(film_progress(copy))
    assert details["size"] == (2 * 350, 374)
    assert_same_play(frames, 0, first)
    assert_same_play(frames, 1, record_video(copy, "last"))


def assert_same_play(frames, place, path):
    """The pane at `place` shows what the film at `path` does, below the captions."""
    _, single = film(path)
    for shown, alone in zip(frames, single, strict=True):
        pane = shown[24:, place * 350 : (place + 1) * 350].astype(int)
        assert np.abs(pane - alone[24:]).mean() < 4


def test_evaluate(run, spread):
    options = ("latest", "--episodes", "30", "--checkpoint", "last")
    result = savanna("evaluate", *options, "--json", cwd=spread)
    [found] = json.loads(result.stdout)
    assert found["episodes"] == 30 and found["length_mean"] == 25
    assert found["metrics"]["old_return"] == pytest.approx(6 * found["mean"] - 225)
    again = savanna("evaluate", *options, cwd=spread)
    assert f"{found['mean']:.2f}" in again.stdout and "landmarks_covered" in again.stdout


def test_film_of_all_checkpoints(run, spread):
    result = savanna("video", "latest", "--all-checkpoints", cwd=spread)
    details, frames = film(result.stdout.strip())
    assert details["fps"] == 8 and details["size"] == (350 * len(run.checkpoints()), 374)
    assert len(frames) == 26


def test_exported_networks_act_as_the_agents(run, spread, tmp_path):
    result = savanna("export", "latest", "--output", tmp_path, cwd=spread)
    assert result.returncode == 0, result.stderr
    description = json.loads(Path(result.stdout.strip()).read_text())
    team = load_team(run.checkpoint_path(description["checkpoint"]), run.config)
    observations = make_worlds("simple_spread", 5, continuous=True).reset(3)
    actions = team.act(observations)
    assert list(description["agents"]) == ["agent_0", "agent_1", "agent_2"]
    for place, agent in enumerate(description["agents"].values()):
        session = onnxruntime.InferenceSession(str(tmp_path / agent["file"]))
        [found] = session.run(None, {"observations": observations[place]})
        assert agent["input"]["shape"] == ["batch", 18]
        assert agent["outputs"] == {"action": ["batch", 5]}
        np.testing.assert_allclose(found, actions[place], atol=1e-5)


LATER_RELEASE = """
from dataclasses import replace
from pathlib import Path
from savanna.experiments import EXPERIMENTS
Path(__file__).with_name("used").touch()
before = EXPERIMENTS["particle"]
def build_config(env, machine):
    model = {"actor_hiddens": [8], "critic_hiddens": [8]}
    config = before.build_config(env, machine).rl_module(model_config=model)
    return config.training(num_critics=1, share_parameters=False)
EXPERIMENTS["particle"] = replace(before, build_config=build_config, film_every=1000)
"""
"""Every Python process starts with it: the preset has other networks there."""


def test_resuming_goes_on_as_before_whatever_the_preset_is(spread, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(LATER_RELEASE)
    shutil.copytree(spread, tmp_path / "copy", symlinks=True)
    folder = tmp_path / "copy"
    run = RunDirectory.find("latest", folder / "runs")
    before, earlier = run.metrics()[-1], run.config
    result = savanna(
        "train",
        "--resume",
        "latest",
        "--stop",
        "none",
        "--stop",
        "iterations=6",
        "--evaluate-episodes",
        "0",
        "--no-report",
        cwd=folder,
        fresh=True,
        PYTHONPATH=f"{tmp_path}{os.pathsep}{IMPORTABLE}",
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "used").exists(), "the later release was not in force"
    for name in ("settings", "preset", "env_config"):
        assert run.config[name] == earlier[name]
    assert {film_iteration(film) for film in run.videos.glob("episode-*.mp4")} >= {5, 6}
    rows = run.metrics()
    assert [row["iteration"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[4]["agent_steps"] > before["agent_steps"]
    assert rows[4]["seconds"] > before["seconds"]
    assert rows[5]["agent_steps_trained"] > rows[4]["agent_steps_trained"]


def test_a_new_run_begins_with_a_checkpoints_networks(spread, tmp_path):
    shutil.copytree(spread, tmp_path / "copy", symlinks=True)
    old = RunDirectory.find("latest", tmp_path / "copy/runs")
    number = old.checkpoints()[-1].number
    result = savanna(
        "train",
        "--resume",
        old.checkpoint_path(number),
        "--stop",
        "none",
        "--stop",
        "iterations=1",
        "--set",
        "num_steps_sampled_before_learning_starts=100_000",
        "--evaluate-episodes",
        "0",
        "--no-video",
        "--no-report",
        cwd=tmp_path / "copy",
    )
    assert result.returncode == 0, result.stderr
    new = RunDirectory.find("latest", tmp_path / "copy/runs")
    assert new.path != old.path and [row["iteration"] for row in new.metrics()] == [1]
    assert new.config["rllib"]["num_envs_per_env_runner"] == 16
    had, has = (
        load_team(run.checkpoint_path(n), run.config).policies[0].module.get_state()
        for run, n in ((old, number), (new, 0))
    )
    assert had.keys() == has.keys()
    for name in had:
        np.testing.assert_array_equal(has[name], had[name])


@pytest.mark.parametrize(("algorithm", "actions"), [("ppo", "continuous"), ("ippo", "discrete")])
def test_the_baselines_run_and_are_evaluated(algorithm, actions, tmp_path):
    result = savanna(
        "train",
        "particle",
        "--algorithm",
        algorithm,
        "--actions",
        actions,
        "--stop",
        "iterations=1",
        "--film-every",
        "1",
        "--set",
        "train_batch_size_per_learner=400",
        "--set",
        "minibatch_size=100",
        "--evaluate-episodes",
        "5",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    [row] = run.metrics()
    assert row["old_return_mean"] == pytest.approx(6 * row["episode_return_mean"] - 225)
    assert row["agent_steps"] >= 1200 and np.isfinite(row["policy_loss"])
    assert 0 <= row["landmarks_covered"] <= 3 and row["collisions"] >= 0
    assert 0 < row["landmark_distance"] < 3 and np.isnan(row["good_return"])
    modules = {
        p.parent.name
        for p in run.path.glob("checkpoint_*/learner_group/learner/rl_module/*/module_state.pkl")
    }
    assert len(modules) == (1 if algorithm == "ppo" else 3)
    assert len(run.read_json("evaluations.json", [])) == 1
    assert list(run.videos.glob("episode-*.mp4")) and list(run.videos.glob("checkpoint-*.mp4"))
    result = savanna("export", "latest", "--output", tmp_path / "out", cwd=tmp_path)
    assert result.returncode == 0, result.stderr  # it checks that the networks act as the agents


def test_mixed_teams_with_ddpg_adversaries(tmp_path):
    result = savanna(
        "train",
        "--scenario",
        "simple_tag",
        "--num-adversaries",
        "2",
        "--num-agents",
        "3",
        "--adv-policy",
        "ddpg",
        "--actions",
        "discrete",
        *QUICK,
        "--stop",
        "none",
        "--stop",
        "iterations=2",
        "--evaluate-episodes",
        "5",
        "--no-video",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    rows = list(csv.DictReader((run.path / "metrics.csv").open()))
    good, adversary = float(rows[-1]["good_return"]), float(rows[-1]["adversary_return"])
    assert good + adversary == pytest.approx(float(rows[-1]["episode_return_mean"]), rel=1e-4)
    assert rows[-1]["old_return_mean"] == "nan" and float(rows[-1]["catches"]) >= 0
    assert np.isfinite(float(rows[-1]["entropy"])) and not list(run.videos.glob("*.mp4"))
    # Every agent with its own spaces has a file; exchangeable ones share one.
    result = savanna("export", "latest", "--output", tmp_path / "out", cwd=tmp_path)
    description = json.loads(Path(result.stdout.strip()).read_text())
    files = [agent["file"] for agent in description["agents"].values()]
    assert files == ["adversary_0.onnx", "adversary_0.onnx", "agent_0.onnx"]
    assert description["agents"]["agent_0"]["outputs"]["logits"] == ["batch", 5]
