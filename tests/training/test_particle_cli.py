"""The options of particle worlds, today's and the retired script's: honoured or refused."""

import json

import pytest
from command import savanna

from training.cli.particle import MAX_TIME, is_particle, translate
from training.cli.train import arguments
from training.errors import UsageError


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    monkeypatch.delenv(MAX_TIME, raising=False)


def pairs_of(words, option):
    return [words[i + 1] for i, word in enumerate(words) if word == option]


OLD = [
    ("--scenario simple_tag", "--env", "simple_tag"),
    ("--max-episode-len 30", "--set", "env_config.max_cycles=30"),
    ("--num-adversaries 2", "--set", "env_config.num_adversaries=2"),
    ("--good-policy ddpg", "--set", "good_policy=ddpg"),
    ("--adv-policy ddpg", "--set", "adv_policy=ddpg"),
    ("--lr 0.02", "--set", "lr=0.02"),
    ("--gamma 0.9", "--set", "gamma=0.9"),
    ("--sample-batch-size 50", "--set", "rollout_fragment_length=50"),
    ("--train-batch-size 256", "--set", "train_batch_size_per_learner=256"),
    ("--n-step 3", "--set", "n_step=3"),
    ("--actions discrete", "--set", "env_config.continuous=false"),
    ("--num-units 32", "--set", "model_config.actor_hiddens=[32, 32]"),
    ("--num-units 32", "--set", "model_config.critic_hiddens=[32, 32]"),
    ("--checkpoint-freq 7", "--checkpoint-freq", "7"),
    ("--restore runs/latest", "--resume", "runs/latest"),
    ("--num-workers 3", "--num-env-runners", "3"),
    ("--num-envs-per-worker 8", "--set", "num_envs_per_env_runner=8"),
    ("--num-gpus 0", "--num-gpus", "0"),
    ("--final-reward -400", "--stop", "return=-29.1667"),
    ("--ray-address auto", "--address", "auto"),
    ("--local-dir here", "--runs-root", "here"),
]


@pytest.mark.parametrize(("old", "option", "value"), OLD)
def test_every_old_flag_becomes_what_it_means_today(old, option, value):
    words, _ = translate(["particle", *old.split()])
    assert value in pairs_of(words, option)


def test_all_old_flags_together_resolve(tmp_path):
    flags = (
        "--scenario simple_spread --final-reward -390 --max-episode-len 25 --num-adversaries 0 "
        "--good-policy maddpg --adv-policy maddpg --lr 0.01 --gamma 0.95 --sample-batch-size 25 "
        "--train-batch-size 1024 --n-step 1 --num-units 48 --checkpoint-freq 20 --num-workers 1 "
        "--num-envs-per-worker 4 --num-gpus 0"
    )
    result = savanna("train", *flags.split(), "--dry-run", "--json", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    plan = json.loads(result.stdout)
    assert plan["experiment"] == "particle" and plan["env"] == "simple_spread"
    assert plan["stop"] == {"return": -27.5, "seconds": 7200}
    rllib = plan["rllib"]
    assert (rllib["lr"], rllib["gamma"], rllib["n_step"]) == (0.01, 0.95, 1)
    assert rllib["num_envs_per_env_runner"] == 4 and rllib["good_policy"] == "maddpg"
    assert rllib["_model_config"]["actor_hiddens"] == [48, 48]
    assert plan["options"]["checkpoint_freq"] == 20 and plan["resources"]["env_runners"] == 1
    assert "translated: --final-reward -390 -> --stop return=-27.5" in result.stderr


def test_the_time_that_the_old_service_allows(monkeypatch):
    monkeypatch.setenv(MAX_TIME, "900")
    words, lines = translate(["particle"])
    assert pairs_of(words, "--stop") == ["seconds=900"] and MAX_TIME in lines[0]
    words, _ = translate(["particle", "--stop", "seconds=60"])
    assert pairs_of(words, "--stop") == ["seconds=60"]
    monkeypatch.setenv(MAX_TIME, "soon")
    with pytest.raises(UsageError, match=f"{MAX_TIME}=soon"):
        translate(["particle"])


@pytest.mark.parametrize(
    ("algorithm", "experiment"),
    [("maddpg", "particle"), ("contrib/MADDPG", "particle"), ("ppo", "particle-ppo"),
     ("ippo", "particle-ippo")],
)  # fmt: skip
def test_algorithms(algorithm, experiment):
    words, _ = translate(["particle", "--algorithm", algorithm])
    assert words[0] == experiment


def test_other_experiments_are_left_to_their_own_options():
    assert not is_particle(["pong", "--stop", "return=18"])
    assert not is_particle(["--run", "IMPALA", "--env", "PongNoFrameskip-v4"])
    assert arguments(["pong", "--seed", "3"]) == ["pong", "--seed", "3"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("particle --lr -1", "--lr -1: must be a number above 0"),
        ("particle --gamma 2", "--gamma 2: must be a number between 0 and 1"),
        ("particle --num-adversaries -1", "--num-adversaries -1: must be a whole number"),
        ("particle --num-units 0", "--num-units 0"),
        ("particle --good-policy qmix", "--good-policy qmix: must be maddpg or ddpg"),
        ("particle --actions none", "--actions none: must be continuous or discrete"),
        ("particle --algorithm dqn", "--algorithm dqn: particle worlds know maddpg, ppo, ippo"),
        ("particle --algorithm ppo --adv-policy ddpg", "--adv-policy: of MADDPG"),
        ("particle --lr 1 --lr 2", "--lr 2: given twice"),
        ("particle --final-reward -400 --stop return=3", "give one"),
        ("particle --final-reward x", "--final-reward x: not a number"),
        ("--scenario simple --final-reward -40", "is not known"),
        ("pong --num-units 3", "only for the experiment particle"),
        ("particle pong", "the experiment was given as particle"),
        ("particle --scenario", "--scenario needs a value"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_a_reason(words, message):
    with pytest.raises(UsageError, match="^.*" + message.replace("(", "\\(")):
        translate(words.split())


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("--scenario simple_sprad", ["simple_sprad", "Did you mean simple_spread"]),
        ("--scenario simple_tag --num-agents 3 --num-adversaries 4", ["4 adversaries", "3"]),
        ("--scenario simple_spread --num-adversaries 1", ["1 adversaries", "simple_spread"]),
        ("--env simple_tag --set env_config.num_agents=x", ["num_agents", "whole number"]),
        ("--film-every -1", ["--film-every -1", "at least 0"]),
    ],
)
def test_bad_worlds_are_one_line(words, parts, tmp_path):
    result = savanna("train", "particle", *words.split(), cwd=tmp_path)
    assert result.returncode == 2 and result.stdout == ""
    [line] = [x for x in result.stderr.splitlines() if not x.startswith("translated")]
    assert all(part in line for part in parts), line
    assert not list(tmp_path.iterdir())


def test_a_particle_world_is_not_for_other_experiments(tmp_path):
    result = savanna("train", "gym", "--env", "simple_spread", cwd=tmp_path)
    assert result.returncode == 2 and "savanna train particle" in result.stderr
