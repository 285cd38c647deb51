"""The retired service's command lines, word for word."""

import pytest

from savanna.cli.legacy import translate
from savanna.errors import UsageError

PONG = ["--env", "PongNoFrameskip-v4"]


def test_the_later_articles_command_line():
    new, lines = translate(
        [
            "--run",
            "IMPALA",
            "--env",
            "PongNoFrameskip-v4",
            "--config",
            '{"num_gpus": 1, "num_workers": 13}',
            "--stop",
            '{"episode_reward_mean": 18, "time_total_s": 3600}',
            "--checkpoint-freq",
            "20",
            "--checkpoint-at-end",
            "--local-dir",
            "./logs",
            "--restore",
            "PATH",
            "--ray-address",
            "auto",
        ]
    )
    assert new == [
        "pong",
        "--num-gpus",
        "1",
        "--num-env-runners",
        "13",
        "--stop",
        "return=18",
        "--stop",
        "seconds=3600",
        "--runs-root",
        "./logs",
        "--resume",
        "PATH",
        "--address",
        "auto",
        "--checkpoint-freq",
        "20",
        "--checkpoint-at-end",
    ]
    assert len(lines) == 8 and all(" -> " in line for line in lines)


def test_the_first_articles_command_line():
    new, lines = translate(
        [
            "--algorithm",
            "IMPALA",
            "--config__env",
            "PongNoFrameskip-v4",
            "--config__num_gpus",
            "1",
            "--config__num_workers",
            "13",
            "--stop__episode_reward_mean",
            "18",
            "--stop__time_total_s",
            "3600",
            "--checkpoint__frequency",
            "20",
            "--checkpoint__at_end",
            "True",
        ]
    )
    assert new == [
        "pong",
        "--num-gpus",
        "1",
        "--num-env-runners",
        "13",
        "--stop",
        "return=18",
        "--stop",
        "seconds=3600",
        "--checkpoint-freq",
        "20",
        "--checkpoint-at-end",
    ]
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (["--run", "PPO", "--env", "CartPole-v1"], ["cartpole"]),
        (["--run=IMPALA", "--env=ALE/Breakout-v5"], ["atari", "--env", "ALE/Breakout-v5"]),
        (["--run", "IMPALA"], ["pong"]),
        (["--config", '{"model": {"dim": 84}}'], ["--set", "env_config.frame_size=84"]),
        (["--config", '{"train_batch_size": 100}'], ["--set", "train_batch_size_per_learner=100"]),
        (
            ["--config", '{"num_sgd_iter": 2, "lr": 0.0005}'],
            ["--set", "num_epochs=2", "--set", "lr=0.0005"],
        ),
        (["--config", '{"sample_batch_size": 50}'], ["--set", "rollout_fragment_length=50"]),
        (["--config__lr", "1e-4"], ["--set", "lr=0.0001"]),
        (["--config__seed", "4"], ["--seed", "4"]),
        (["--stop", '{"training_iteration": 3}'], ["--stop", "iterations=3"]),
        (["--stop__timesteps_total", "500"], ["--stop", "agent_steps=500"]),
        (["--checkpoint__at_end", "False"], ["--no-checkpoint-at-end"]),
        (["--checkpoint__frequency=5", "--seed", "2"], ["--checkpoint-freq", "5", "--seed", "2"]),
        (['--stop={"episode_reward_mean": 18}'], ["--stop", "return=18"]),
        (["--stop", ' {"time_total_s": 9.5}'], ["--stop", "seconds=9.5"]),
        (["--config__model__dim", "42"], ["--set", "env_config.frame_size=42"]),
        (["--config", '{"env": "CartPole-v1"}'], ["cartpole"]),
        (["--env", "CartPole-v1", "--config__env", "CartPole-v1"], ["cartpole"]),
        (["--local-dir", "a", "--dry-run", "pong"], ["pong", "--runs-root", "a", "--dry-run"]),
        (
            ["atari", "--env", "ALE/Pong-v5", "--restore", "x"],
            ["atari", "--env", "ALE/Pong-v5", "--resume", "x"],
        ),
        (
            ["--seed", "2", "--stop__training_iteration", "3", "--stop", "return=4"],
            ["--stop", "iterations=3", "--seed", "2", "--stop", "return=4"],
        ),
        (
            ["--config__lr", "1", "--set", "gamma=0.9", "--set=lambda_=1"],
            ["--set", "lr=1", "--set", "gamma=0.9", "--set=lambda_=1"],
        ),
    ],
)
def test_every_old_option(old, new):
    assert translate(old)[0] == new


@pytest.mark.parametrize(
    "today",
    [
        ["pong", "--stop", "return=18", "--set", "lr=1"],
        ["cartpole", "--env", "CartPole-v1"],
        ["--runs-root", "my__runs", "--env", "PongNoFrameskip-v4"],
        [],
    ],
)
def test_todays_options_pass_untouched(today):
    assert translate(today) == (today, [])


@pytest.mark.parametrize(
    ("old", "says"),
    [
        (["--run", "APEX", *PONG], "no algorithm 'APEX'"),
        (["--config", '{"num_wrokers": 1, "lr": 1}'], "no longer exists"),
        (["--config", "{bad"], "not a JSON object"),
        (["--config", '{"model": {"dim": 64}}'], "dim 64 is not supported"),
        (["--stop", '{"episode_reward_maen": 1}'], "Did you mean 'episode_reward_mean'"),
        (["--stop__time", "1"], "unknown stop rule 'time'"),
        (["--checkpoint__at_end", "perhaps"], "use True or False"),
        (["--checkpoint__freq", "3"], "Did you mean '--checkpoint__frequency'"),
        (["--run", "IMPALA", "--algorithm", "PPO"], "already given as IMPALA"),
        (["--run"], "--run needs a value"),
        (["--config", '{"model": {"dim": 42, "free_log_std": true}}'], "setting 'free_log_std'"),
        (["pong", "--run", "IMPALA"], "algorithm IMPALA and the experiment pong"),
        (["pong", "atari", "--restore", "x"], "the experiment is already pong"),
        (["--config__num_workers", "3", "--num-env-runners", "5"], "both set --num-env-runners"),
        (["--config", '{"num_workers": 3}', "--config__num_workers", "5"], "both set --num-env"),
        (["--local-dir", "a", "--runs-root=b"], "both set --runs-root"),
        (
            ["--checkpoint__at_end", "True", "--no-checkpoint-at-end"],
            "both set --checkpoint-at-end",
        ),
        (["--config__lr", "1", "--set", "lr=2"], "both set --set lr"),
        (["--config__lr", "1", "--set=lr=2"], "both set --set lr"),
        (["--config", '{"sample_batch_size": 1, "rollout_fragment_length": 2}'], "Give only one."),
        (["--stop", '{"episode_reward_mean": 1}', "--stop", "return=2"], "both set --stop return"),
    ],
)
def test_what_cannot_be_honoured_is_an_error(old, says):
    with pytest.raises(UsageError, match=says):
        translate(old)


def test_all_errors_come_at_once():
    with pytest.raises(UsageError) as caught:
        translate(["--run", "APEX", "--config", '{"a": 1}', "--stop", '{"b": 2}', "--restore"])
    assert len(str(caught.value).splitlines()) == 4
