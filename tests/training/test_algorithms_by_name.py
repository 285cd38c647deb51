"""`--algorithm`: RLlib's algorithms, which do all that ours do."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import savanna
from pages import commands_of
from plans import plan_of, request_of_words, saved

from savanna.cli import main
from savanna.cli.train_options import arguments
from savanna.errors import UsageError
from savanna.experiments import EXPERIMENTS, get_experiment
from savanna.runs.directory import RunDirectory
from savanna.session.resumed_group import _check_same

TINY = {
    "dqn": ("num_steps_sampled_before_learning_starts=100",),
    "sac": ("num_steps_sampled_before_learning_starts=100",),
    "appo": ("train_batch_size_per_learner=200", "min_time_s_per_iteration=0"),
}
SMALL = ("min_sample_timesteps_per_iteration=600",)
QUICK = ("--no-video", "--no-report", "--evaluate-episodes", "0", "--stop", "none")
CARTPOLE = ("gym", "--env", "CartPole-v1")


def sets(*settings: str) -> list[str]:
    return [word for setting in settings for word in ("--set", setting)]


@pytest.mark.parametrize("name", TINY)
def test_it_trains_is_resumed_evaluated_and_exported(name, tmp_path):
    small = sets(*SMALL, *TINY[name])
    words = (*CARTPOLE, "--algorithm", name, *small, "--stop", "iterations=1", *QUICK)
    result = savanna("train", *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    run = RunDirectory.find("latest", tmp_path / "runs")
    [row] = run.metrics()
    assert run.config["algorithm"] == name.upper() and run.status["state"] == "succeeded"
    assert row["agent_steps"] >= 600 and row["agent_steps_trained"] > 0
    assert row["episodes_total"] > 5 and row["value_loss"] == row["value_loss"]
    assert 8 < row["episode_return_mean"] < 60

    result = savanna("train", "--resume", "latest", "--stop", "iterations=2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    later = run.metrics()[1]
    assert later["agent_steps"] >= row["agent_steps"] + 600
    assert later["episodes_total"] > row["episodes_total"] and later["seconds"] > row["seconds"]

    result = savanna("evaluate", "latest", "--episodes", "3", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert len(run.read_json("evaluations.json")[0]["returns"]) == 3
    result = savanna("export", "latest", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads((run.path / "model.json").read_text())["check"]["observations"] >= 100


def test_dqn_learns(tmp_path):
    """A random player's mean return is 22; the last 100 episodes of seed 0 reach 56."""
    words = ("--algorithm", "dqn", "--stop", "agent_steps=15000", *QUICK)
    result = savanna("train", *CARTPOLE, *words, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    row = RunDirectory.find("latest", tmp_path / "runs").metrics()[-1]
    assert row["episode_return_mean"] > 40


def test_a_resumed_run_has_the_replay_buffer_of_before(tmp_path):
    """Its first update comes at once, on what was sampled before."""
    small = sets(*SMALL, *TINY["dqn"])
    words = (*CARTPOLE, "--algorithm", "dqn", *small, "--stop", "iterations=1", *QUICK)
    assert savanna("train", *words, cwd=tmp_path).returncode == 0
    run = RunDirectory.find("latest", tmp_path / "runs")
    steps = run.metrics()[-1]["agent_steps"]
    assert replayed(run) == steps
    shutil.copytree(tmp_path, tmp_path / "without", symlinks=True)
    result = savanna("train", "--resume", "latest", "--stop", "iterations=2", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert replayed(run) == run.metrics()[-1]["agent_steps"] > steps


def replayed(run: RunDirectory) -> int:
    """Steps in the replay buffer of a run's newest checkpoint."""
    import pickle

    from savanna.algorithms.watched import REPLAY

    folder = run.checkpoint_path(run.checkpoints()[-1].number)
    state = pickle.loads((folder / "algorithm_state.pkl").read_bytes())
    return pickle.loads(state[REPLAY])["_num_timesteps"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("pong --algorithm dqn", "the experiment pong has no such algorithm. It has: impala."),
        ("gym --env CartPole-v1 --algorithm dqm", "Did you mean 'dqn'?"),
        ("gym --algorithm dqn", "needs an environment"),
        ("cartpole --algorithm maddpg", "It has: ppo, dqn, sac"),
        ("gym --env CartPole-v1 --algorithm dqn --set lrr=1", "Did you mean 'lr'?"),
        (
            "gym --env CartPole-v1 --algorithm dqn --set replay_buffer_config.capacty=1",
            "Did you mean 'replay_buffer_config.capacity'?",
        ),
        ("cartpole --set replay_buffer_config.capacity=1", "only env_config and model_config do."),
        ("--run DQN --env PongNoFrameskip-v4", "savanna train atari --env PongNoFrameskip-v4"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(words, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words.split(), "--address", "local", "--dry-run"]) == 2
    lines = [x for x in capsys.readouterr().err.splitlines() if not x.startswith("translated:")]
    assert len(lines) == 1 and says in lines[0], lines


@pytest.mark.parametrize(
    ("words", "algorithm"),
    [
        ("gym --env Acrobot-v1", "PPO"),
        ("gym --env Acrobot-v1 --algorithm ppo", "PPO"),
        ("gym --env Acrobot-v1 --algorithm DQN", "DQN"),
        ("cartpole --algorithm sac", "SAC"),
        ("pong --algorithm impala", "IMPALA"),
        ("particle --algorithm ippo", "PPO"),
        ("--run DQN --env Acrobot-v1", "DQN"),
        ("--run SAC --env CartPole-v1", "SAC"),
        ("--algorithm APPO --config__env CartPole-v1", "APPO"),
        ("--run PPO --env CartPole-v1", "PPO"),
    ],
)
def test_names_as_they_are_given(words, algorithm):
    request = request_of_words(*words.split())
    assert get_experiment(request.experiment, request.algorithm).algorithm == algorithm


def test_the_pages_commands_are_right():
    """What they do is tested above."""
    commands = commands_of("algorithms.md")
    assert len(commands) == 5
    found = [plan_of(*words[1:]).content["algorithm"] for words in commands]
    assert found == ["DQN", "SAC", "APPO", "IMPALA", "DQN"]


def test_the_old_services_settings_of_dqn():
    old = {"buffer_size": 5000, "learning_starts": 100, "dueling": False}
    words = ["--run", "DQN", "--env", "CartPole-v1", "--config", json.dumps(old)]
    config = plan_of(*words).config
    assert config.replay_buffer_config["capacity"] == 5000
    assert config.num_steps_sampled_before_learning_starts == 100 and config.dueling is False


def test_a_resumed_run_keeps_its_algorithm(tmp_path):
    run = saved(tmp_path, *CARTPOLE, "--algorithm", "dqn", "--set", "dueling=false")
    plan = plan_of("--resume", "x", resumed=run)
    assert plan.content["algorithm"] == "DQN" and plan.config.dueling is False
    assert plan.config.replay_buffer_config["type"]
    with pytest.raises(UsageError, match=r"--algorithm sac: --resume continues .* has dqn"):
        plan_of("gym", "--algorithm", "sac", "--resume", "x", resumed=run)


def test_a_group_goes_on_with_its_algorithm_only(tmp_path):
    run = saved(tmp_path, *CARTPOLE, "--algorithm", "dqn")
    member = SimpleNamespace(run=run, drawn={"seed": 0})
    group = SimpleNamespace(name="g", members=[member])
    words = (*CARTPOLE, "--seeds", "2", "--resume-group", "g", "--algorithm")
    asked = ['{"seed": 0}', '{"seed": 1}']
    _check_same(request_of_words(*words, "dqn"), group, asked)
    with pytest.raises(UsageError, match="its runs have --algorithm DQN, this command SAC"):
        _check_same(request_of_words(*words, "sac"), group, asked)


def test_networks_have_settings_too():
    words = (*CARTPOLE, "--algorithm", "dqn", "--set", "model_config.fcnet_hiddens=[8]")
    assert plan_of(*words).config.model_config["fcnet_hiddens"] == [8]


def test_a_number_may_replace_auto():
    """RLlib has settings that are text or a number."""
    words = sets("rollout_fragment_length=3")
    assert plan_of(*CARTPOLE, "--algorithm", "appo", *words).config.rollout_fragment_length == 3
    assert plan_of("cartpole", *words).config.rollout_fragment_length == 3


def test_a_particle_world_is_meant_only_where_no_other_experiment_is_named():
    assert arguments(["--algorithm", "ppo"]) == ["particle-ppo"]
    named = ["gym", "--env", "CartPole-v1", "--algorithm", "ppo"]
    assert arguments(named) == named


def test_every_algorithm_of_an_experiment_has_a_config_that_is_watched():
    from savanna.algorithms.paced import Paced
    from savanna.experiments import Machine

    for experiment in EXPERIMENTS.values():
        for name in experiment.others:
            config = experiment.with_algorithm(name).config("CartPole-v1", Machine(2, 0))
            assert issubclass(config.algo_class, Paced), name
            assert config.max_time_s_per_iteration == 30


@pytest.mark.parametrize("name", ["dqn", "appo"])
def test_an_environment_that_fails_ends_the_run_with_its_cause(name, tmp_path):
    shutil.copy(Path(__file__).with_name("stuck_envs.py"), tmp_path)
    settings = sets("env_config.after=110", *TINY[name])
    words = ("gym", "--env", "stuck_envs:Lies", "--algorithm", name, *QUICK, *settings)
    result = savanna("train", *words, "--stop", "agent_steps=1500", cwd=tmp_path)
    assert result.returncode == 1
    assert "stuck_envs:Lies gave a reward of nan in step" in result.stderr
    assert RunDirectory.find("latest", tmp_path / "runs").status["state"] == "failed"


def test_a_hanging_environment_is_told_and_the_run_ends(tmp_path):
    shutil.copy(Path(__file__).with_name("stuck_envs.py"), tmp_path)
    short = sets("max_time_s_per_iteration=1", "sample_timeout_s=1", *TINY["dqn"])
    words = ("gym", "--env", "stuck_envs:Hangs", "--algorithm", "dqn", *QUICK, *short)
    result = savanna("train", *words, "--stop", "seconds=5", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "1 of 1 env runners are in one step" in result.stderr


def test_dqn_explores_in_evaluation_as_at_its_end(tmp_path):
    """And values are what `logits` are."""
    import numpy as np

    from savanna.evaluation.policy import Policy

    config = plan_of(*CARTPOLE, "--algorithm", "dqn", "--set", "epsilon=0.5").config
    spaces = get_experiment("gym").family("CartPole-v1", {}).spaces()
    module = config.get_multi_rl_module_spec(spaces={"default_policy": spaces[0]}).build()
    policy = Policy(module["default_policy"])
    seen = np.random.default_rng(0).normal(size=(4000, 4)).astype(np.float32)
    best = policy.act(seen)
    np.testing.assert_array_equal(best, policy.logits(seen).argmax(1))
    drawn = policy.act(seen, np.random.default_rng(1))
    assert 0.2 < (drawn != best).mean() < 0.3  # half of them random, half of those the best
