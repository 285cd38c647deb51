"""`savanna train doom`: a whole run, its film, its export; and what it learns."""

import json

import numpy as np
import pytest
from command import savanna
from plans import plan_of

import savanna as package
from savanna.errors import UsageError
from savanna.evaluation.film import CAPTION, read_film
from savanna.experiments import EXPERIMENTS, Machine
from savanna.runs.directory import RunDirectory

SMALL = ("train_batch_size_per_learner=128", "minibatch_size=64", "num_envs_per_env_runner=2")


def settings(*given):
    return [word for setting in given for word in ("--set", setting)]


def test_it_is_trained_evaluated_filmed_exported_and_loaded(tmp_path, monkeypatch):
    result = savanna(
        "train",
        "doom",
        *settings(*SMALL, "model_config.picture_units=16"),
        "--stop",
        "iterations=1",
        "--evaluate-episodes",
        "2",
        cwd=tmp_path,
    )
    assert result.returncode == 0 and "warning" not in result.stderr, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert not [*tmp_path.glob("*vizdoom*")], "the games left something"
    [*_, evaluation] = run.read_json("evaluations.json")
    assert evaluation["length_mean"] <= 75

    [path] = run.videos.glob("*.mp4")
    film = read_film(path)
    assert film[0].shape == (480 + CAPTION, 640, 3)
    assert 30 < len(film) <= 301, "every tic of an episode"
    moves = [np.abs(a.astype(int) - b).mean() for a, b in zip(film, film[4:])]
    assert film[0][CAPTION:].std() > 20 and max(moves) > 0.5

    result = savanna("export", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    model = json.loads((run.path / "model.json").read_text())
    assert model["preprocessing"]["actions"] == [[], ["MOVE_LEFT"], ["MOVE_RIGHT"], ["ATTACK"]]
    assert any("resized to 40 x 40" in step for step in model["preprocessing"]["steps"])

    monkeypatch.chdir(tmp_path)
    policy = package.load("latest")
    env = policy.make_env()
    observation, _ = env.reset(seed=0)
    assert policy.action_space.contains(policy(observation))
    env.close()


def test_a_scenario_is_named_like_an_environment():
    plan = plan_of("doom", "--scenario", "my_way_home")
    assert plan.content["env"] == "my_way_home"
    with pytest.raises(UsageError, match="both set --env"):
        plan_of("doom", "--scenario", "my_way_home", "--env", "basic")
    with pytest.raises(UsageError, match="savanna train doom --scenario my_way_home"):
        plan_of("gym", "--env", "my_way_home")


def test_env_runners_have_two_cpus_and_the_learner_the_gpu():
    """A head with a GPU and two CPUs, and eight workers with two CPUs each."""
    config = EXPERIMENTS["doom"].config("basic", Machine(18, 1, nodes=(2,) * 9))
    assert (config.num_env_runners, config.num_cpus_per_env_runner) == (8, 2)
    assert (config.num_learners, config.num_gpus_per_learner) == (0, 1)
    here = EXPERIMENTS["doom"].config("basic", Machine(cpus=2, gpus=0))
    assert (here.num_env_runners, here.num_cpus_per_env_runner) == (1, 1)


def test_options_of_particle_worlds_are_refused():
    for words in (("--num-agents", "4"), ("--scenario", "basic", "--good-policy", "ddpg")):
        with pytest.raises(UsageError, match=f"^{words[-2]}: only for the experiment particle"):
            plan_of("doom", *words)


@pytest.mark.parametrize(
    ("nodes", "runners"),
    [((2, 1, 1), (3, 1)), ((2, *(3,) * 8), (8, 2)), ((16,), (7, 2)), ((3,), (1, 2))],
)
def test_env_runners_fit_on_the_nodes_that_there_are(nodes, runners):
    config = EXPERIMENTS["doom"].config("basic", Machine(sum(nodes), 0, nodes=nodes))
    assert (config.num_env_runners, config.num_cpus_per_env_runner) == runners


@pytest.mark.soak
def test_basic_is_learned(tmp_path):
    """Untrained, it returns about -170; the best is 95, a hit after one step."""
    result = savanna(
        "train",
        "doom",
        "--stop",
        "none",
        "--stop",
        "return=60",
        "--stop",
        "agent_steps=150000",
        "--no-video",
        cwd=tmp_path,
        timeout=570,
    )
    assert result.returncode == 0, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert run.metrics()[-1]["episode_return_mean"] >= 60
    [*_, evaluation] = run.read_json("evaluations.json")
    assert evaluation["mean"] > 40
