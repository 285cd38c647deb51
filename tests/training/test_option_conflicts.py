"""Two options that set the same thing are an error: neither is ignored silently."""

import pytest

from savanna.cli import main
from savanna.cli.particle import MAX_TIME


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("particle --lr 0.01 --set lr=0.001", "--lr 0.01 and --set lr=0.001: both set --set lr"),
        ("particle --lr 0.01 --set=lr=0.001", "--lr 0.01 and --set lr=0.001"),
        ("particle --lr=0.01 --lr 0.02", "--lr 0.01 and --lr 0.02"),
        ("particle --num-workers 2 --num-env-runners 3", "--num-workers 2 and --num-env-runners 3"),
        ("particle --num-workers 2 --set num_env_runners=3", "both set --num-env-runners"),
        ("particle --num-gpus 0 --set num_gpus_per_learner=0", "both set --num-gpus"),
        ("--scenario simple --env simple_tag", "--scenario simple and --env simple_tag"),
        ("particle --restore a --resume b", "--restore a and --resume b: both set --resume"),
        ("particle --final-reward -400 --stop return=-20", "both set --stop return"),
        ("particle --stop old_return=-400 --stop return=-20", "both set --stop return"),
        ("particle --num-units 32 --set model_config.actor_hiddens=[8]", "both set --set model"),
        ("particle --max-episode-len 9 --set env_config.max_cycles=8", "env_config.max_cycles"),
        ("particle --actions discrete --set env_config.continuous=true", "env_config.continuous"),
        ("particle --adv-policy ddpg --set adv_policy=maddpg", "both set --set adv_policy"),
        ("particle --algorithm ppo --run maddpg", "both set --algorithm"),
        ("particle --local-dir a --runs-root b", "both set --runs-root"),
        ("particle --lr 0.01 --set lr=loguniform(1e-4,1e-2)", "both set --set lr"),
        ("particle --seed 1 --seed 2", "--seed 1 and --seed 2: both set --seed"),
        ("pong --seed 1 --seed 2", "--seed 1 and --seed 2: both set --seed"),
        ("pong --set lr=1e-3 --set lr=1e-4", "both set --set lr"),
        ("pong --stop return=1 --stop return=2", "both set --stop return"),
        ("pong --video --no-video", "--video and --no-video: both set --video"),
        ("pong --num-env-runners 1 --set num_env_runners=2", "both set --num-env-runners"),
    ],
)
def test_given_twice(words, says, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MAX_TIME, raising=False)
    assert main(["train", *words.split()]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert says in line and line.endswith("Give only one.")


@pytest.mark.parametrize("command", ["train", "submit"])
def test_conflicts_are_found_before_anything_is_sent(command, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([command, "particle", "--num-workers", "2", "--num-env-runners", "3"]) == 2
    assert "both set --num-env-runners" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["particle --restore=", "pong --resume=", "pong --env="])
def test_an_empty_value_is_none(words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", *words.split()]) == 2
    assert capsys.readouterr().err.endswith("needs a value.\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("particle --set env=simple", "--set env: use --env instead."),
        ("pong --set seed=3", "--set seed: use --seed instead."),
    ],
)
def test_what_has_an_option_of_its_own_is_not_set(words, says, tmp_path):
    from plans import plan_of

    from savanna.errors import UsageError

    with pytest.raises(UsageError, match=says):
        plan_of(*words.split())
