"""Searches over settings of every depth: each value is checked before anything starts."""

import pytest
from command import savanna
from plans import plan_of

from savanna.errors import UsageError
from savanna.planning.search_space import drawn_by
from savanna.runs.directory import RunDirectory
from savanna.session.tune import DRAWN, _with_drawn


@pytest.mark.parametrize(
    ("experiment", "key", "space", "value"),
    [
        ("particle", "model_config.actor_hiddens", "choice([64,64],[256,256])", [256, 256]),
        ("particle", "env_config.max_cycles", "choice(25,50)", 50),
        ("particle", "env_config.local_ratio", "uniform(0,1)", 0.25),
        ("particle", "exploration_noise", "uniform(0.05,0.3)", 0.2),
        ("particle", "train_batch_size_per_learner", "grid(256,1024)", 256),
        ("particle", "lr", "loguniform(1e-4,1e-2)", 1e-3),
        ("particle", "adv_policy", "choice(maddpg,ddpg)", "ddpg"),
        ("particle-ppo", "model_config.fcnet_hiddens", "choice([8],[16])", [16]),
        ("pong", "model_config.encoder", "grid(small,nature)", "nature"),
        ("cartpole", "lambda_", "uniform(0.9,1)", 0.95),
    ],
)
def test_what_is_drawn_arrives(experiment, key, space, value):
    plan = plan_of(experiment, "--set", f"{key}={space}")
    tuned = {**plan.config.to_dict(), DRAWN: {key: value}}
    algorithm = plan.config.algo_class
    config = algorithm.get_default_config().update_from_dict(_with_drawn(algorithm, tuned))
    outer, _, inner = key.partition(".")
    found = getattr(config, outer)
    assert (found[inner] if inner else found) == value
    content = plan.content_with({key: value})
    assert content["overrides"][key] == value and plan.content["overrides"][key] == space
    if outer == "env_config":
        assert content["env_config"][inner] == value  # the setting that evaluation uses
    elif outer == "model_config":
        assert content["rllib"]["_model_config"][inner] == value


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("model_config.actor_hidens=choice([64],[8])", "mean 'model_config.actor_hiddens'"),
        ("model_config.actor_hiddens=choice([64,64],wide)", "wide: expected a list"),
        ("n_step=choice(1,0)", "with 0: n_step must be a whole number of at least 1"),
        ("n_step=uniform(1,3)", "n_step must be a whole number"),
        ("n_step=randint(1.5,3)", "whole numbers only"),
        ("exploration_noise=uniform(-1,1)", "exploration_noise must be a number at least 0"),
        ("gamma=uniform(0.9,1.5)", "gamma must be a number between 0 and 1"),
        ("good_policy=choice(maddpg,qmix)", "good_policy must be maddpg or ddpg"),
        ("env_config.num_agents=choice(3,0)", "with 0: 0 agents: simple_spread needs at least 1"),
        ("env_config.max_cycles=uniform(10,20)", "expected a whole number"),
        ("env_config.max_cycels=choice(10,20)", "Did you mean 'env_config.max_cycles'"),
        ("lr=loguniform(0,1)", "0 to 1 is not a valid range"),
    ],
)
def test_what_could_be_drawn_and_is_wrong_is_one_line(setting, says):
    with pytest.raises(UsageError) as caught:
        plan_of("particle", "--set", setting)
    [line] = str(caught.value).splitlines()
    assert says in line and setting.partition("=")[0].rpartition(".")[2] in line


@pytest.mark.parametrize("dictionary", ["env_config", "model_config"])
@pytest.mark.parametrize("value", ['{"max_cycles": 30}', "choice({},None)"])
@pytest.mark.parametrize("experiment", ["particle", "particle-ppo", "pong", "cartpole"])
def test_a_whole_dictionary_is_not_replaced(experiment, dictionary, value):
    with pytest.raises(UsageError, match=rf"--set {dictionary}: give its settings one by one"):
        plan_of(experiment, "--set", f"{dictionary}={value}")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "[[0, NaN]]", "1e999"])
def test_no_setting_is_nan_or_infinite(value):
    with pytest.raises(UsageError, match="--set lr=.*: must be finite"):
        plan_of("particle", "--set", f"lr={value}")


def test_a_search_over_networks_and_worlds(tmp_path):
    search = {
        "model_config.actor_hiddens": "grid([8,8],[16,16])",
        "env_config.max_cycles": "choice(10)",
        "exploration_noise": "uniform(0.1,0.2)",
    }
    result = savanna(
        "train",
        "particle",
        *(word for key, space in search.items() for word in ("--set", f"{key}={space}")),
        "--set",
        "num_envs_per_env_runner=16",
        "--set",
        "min_sample_timesteps_per_iteration=500",
        "--set",
        "rollout_fragment_length=10",
        "--stop",
        "iterations=1",
        "--evaluate-episodes",
        "3",
        "--no-video",
        "--no-report",
        cwd=tmp_path,
    )
    assert result.returncode == 0, result.stderr
    assert "no target return" in result.stderr
    runs = [RunDirectory(p.parent) for p in sorted(tmp_path.glob("runs/particle/*/config.json"))]
    sizes = []
    for run in runs:
        config = run.config
        drawn = config["overrides"]
        assert config["env_config"]["max_cycles"] == 10
        assert 0.1 <= drawn["exploration_noise"] <= 0.2
        assert config["rllib"]["exploration_noise"] == drawn["exploration_noise"]
        [found] = run.read_json("evaluations.json")
        assert found["length_mean"] == 10
        sizes.append(config["rllib"]["_model_config"]["actor_hiddens"])
        assert sizes[-1] == drawn["model_config.actor_hiddens"]
        assert run.metrics()[-1]["episode_length_mean"] == 10
    assert sizes == [[8, 8], [16, 16]]
    drawn = [run.config["options"]["group"]["drawn"] for run in runs]
    assert drawn_by(runs[0].config["seed"], search, 1) == drawn, "--resume-group expects the same"
