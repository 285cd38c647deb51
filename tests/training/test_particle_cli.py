"""The options of particle worlds, today's and the retired script's: honoured or refused."""

import json

import pytest
from command import savanna

from savanna.cli.command_line import options_of
from savanna.cli.main import main, make_parser
from savanna.cli.particle import MAX_TIME, OWN, RENAMED, concerns, translate
from savanna.cli.train_options import arguments
from savanna.errors import UsageError


@pytest.fixture(autouse=True)
def no_limit(monkeypatch):
    monkeypatch.delenv(MAX_TIME, raising=False)


def pairs_of(words, option):
    return [o.value for o in options_of(words) if o.flag == option]


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
    ("--final-reward -400", "--stop", "old_return=-400"),
    ("--ray-address auto", "--address", "auto"),
    ("--local-dir here", "--runs-root", "here"),
]


OF_THE_SCRIPT = (
    "--scenario",
    "--final-reward",
    "--max-episode-len",
    "--num-adversaries",
    "--good-policy",
    "--adv-policy",
    "--lr",
    "--gamma",
    "--sample-batch-size",
    "--train-batch-size",
    "--n-step",
    "--num-units",
    "--checkpoint-freq",
    "--restore",
    "--num-workers",
    "--num-envs-per-worker",
    "--num-gpus",
)


@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
@pytest.mark.parametrize(("old", "option", "value"), OLD)
def test_every_old_flag_becomes_what_it_means_today(old, option, value, form):
    flag, given = old.split()
    words, lines = translate(["particle", *form.format(flag, given).split()])
    assert value in pairs_of(words, option)
    make_parser().parse_args(["train", *words])
    same = flag in (*OWN, option)
    assert same or any(line.startswith(f"{flag} {given} -> {option} ") for line in lines)


def test_no_flag_of_the_script_is_left_out():
    assert {old.split()[0] for old, _, _ in OLD} >= set(OF_THE_SCRIPT)


FLAGS = (*OF_THE_SCRIPT, "--num-agents", "--actions", "--algorithm")
NO_VALUES = [(f, w) for f in FLAGS for w in ("nan", "inf", "-inf", "-1.5", "")]
NO_VALUES.remove(("--final-reward", "-1.5"))  # a return may be that


@pytest.mark.parametrize(("flag", "wrong"), NO_VALUES)
@pytest.mark.parametrize("form", ["{} {}", "{}={}"])
def test_no_flag_takes_what_is_no_value_for_it(flag, wrong, form, capsys, tmp_path, monkeypatch):
    """One line that names the mistake, before anything starts."""
    monkeypatch.chdir(tmp_path)
    assert main(["train", "particle", *form.format(flag, wrong).split(" ")]) == 2
    told = capsys.readouterr().err.splitlines()
    [line] = [text for text in told if not text.startswith("translated")]
    today = {**RENAMED, "--scenario": "no scenario", "--restore": "no run"}.get(flag, flag)
    assert flag in line or today in line
    assert not list(tmp_path.iterdir())


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
    assert "translated: --final-reward -390 -> --stop old_return=-390" in result.stderr


def test_the_time_that_the_old_service_allows(monkeypatch):
    monkeypatch.setenv(MAX_TIME, "900")
    words, lines = translate(["particle"])
    assert pairs_of(words, "--stop") == ["seconds=900"] and MAX_TIME in lines[0]
    words, _ = translate(["particle", "--stop", "seconds=60"])
    assert pairs_of(words, "--stop") == ["seconds=60"]


@pytest.mark.parametrize("text", ["soon", "nan", "inf", "-inf", "0", "-5", "1e999", " "])
def test_a_time_that_is_none_is_one_line(monkeypatch, text):
    monkeypatch.setenv(MAX_TIME, text)
    with pytest.raises(UsageError) as caught:
        translate(["particle"])
    assert str(caught.value) == f"{MAX_TIME}={text}: must be a finite number of seconds above 0."


@pytest.mark.parametrize(
    ("algorithm", "experiment"),
    [
        ("maddpg", "particle"),
        ("contrib/MADDPG", "particle"),
        ("ppo", "particle-ppo"),
        ("ippo", "particle-ippo"),
    ],
)
def test_algorithms(algorithm, experiment):
    words, _ = translate(["particle", "--algorithm", algorithm])
    assert words[0] == experiment


def test_an_algorithm_alone_means_a_particle_world():
    assert arguments(["--algorithm", "maddpg"])[0] == "particle"
    assert arguments(["--run", "contrib/MADDPG"])[0] == "particle"
    assert arguments(["--algorithm", "ppo"])[0] == "particle-ppo"
    assert arguments(["--run", "PPO"])[0] == "cartpole"  # of other scripts


def test_a_checkpoints_folder_starts_a_new_run_of_a_particle_world():
    words = ["--scenario", "simple_tag", "--restore", "runs/particle/x/checkpoint_000003"]
    assert arguments(words)[0] == "particle"
    assert "particle" not in arguments(["--scenario", "simple_tag", "--restore", "latest"])


def test_other_experiments_are_left_to_their_own_options():
    assert not concerns(["pong", "--stop", "return=18"])
    assert not concerns(["pong", "--runs-root", "particle"])
    assert not concerns(["--run", "IMPALA", "--env", "PongNoFrameskip-v4"])
    assert arguments(["pong", "--seed", "3"]) == ["pong", "--seed", "3"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("particle --lr -1", "--lr -1: must be a finite number above 0"),
        ("particle --gamma 2", "--gamma 2: must be a finite number between 0 and 1"),
        ("particle --num-adversaries -1", "--num-adversaries -1: must be a whole number"),
        ("particle --num-units 0", "--num-units 0"),
        ("particle --good-policy qmix", "--good-policy qmix: must be maddpg or ddpg"),
        ("particle --actions none", "--actions none: must be continuous or discrete"),
        ("particle --algorithm dqn", "--algorithm dqn: particle worlds support maddpg, ppo, ippo"),
        ("particle --algorithm ppo --adv-policy ddpg", "--adv-policy: only for MADDPG"),
        ("particle --final-reward x", "--final-reward x: must be a finite number"),
        ("particle --num-units 1.5", "--num-units 1.5: must be a whole number of at least 1"),
        ("particle --lr 1e999", "--lr 1e999: must be a finite number above 0"),
        ("pong --num-units 3", "only for the experiment particle"),
        ("particle pong", "the experiment is already particle"),
        ("particle --scenario", "--scenario needs a value"),
    ],
)
def test_what_cannot_be_honoured_is_refused_with_a_reason(words, message):
    with pytest.raises(UsageError) as caught:
        translate(words.split())
    assert message in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("--scenario simple_sprad", ["simple_sprad", "Did you mean simple_spread"]),
        ("--scenario simple_tag --num-agents 3 --num-adversaries 4", ["4 adversaries", "3"]),
        ("--scenario simple_spread --num-adversaries 1", ["1 adversaries", "simple_spread"]),
        ("--env simple_tag --set env_config.num_agents=x", ["num_agents", "whole number"]),
        ("--film-every -1", ["--film-every -1", "at least 0"]),
        ("--stop return=nan", ["--stop return=nan", "finite"]),
        ("--stop seconds=inf", ["--stop seconds=inf", "finite"]),
        ("--num-env-runners -1", ["--num-env-runners -1", "at least 0"]),
        ("--scenario simple --final-reward -40", ["-40", "cannot convert", "--stop return="]),
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
