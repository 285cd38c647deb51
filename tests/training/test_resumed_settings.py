"""A resumed run keeps its options and the settings it was created with."""

from dataclasses import replace

import pytest
from plans import plan_of, saved

from savanna.envs.particle.family import Particle
from savanna.errors import UsageError
from savanna.experiments import EXPERIMENTS
from savanna.planning.plan import json_safe

ENVS = {"gym": ("--env", "Acrobot-v1")}


def test_options_are_kept_unless_given(tmp_path):
    run = saved(
        tmp_path,
        "particle",
        "--film-every",
        "50",
        "--no-video",
        "--no-report",
        "--keep",
        "3",
        "--evaluate-episodes",
        "4",
        "--checkpoint-freq",
        "7",
        "--no-checkpoint-at-end",
        "--max-failures",
        "2",
    )
    kept = plan_of("--resume", "x", resumed=run).kept
    assert (kept.film_every, kept.video, kept.report, kept.keep) == (50, False, False, 3)
    assert (kept.evaluate_episodes, kept.checkpoint_freq, kept.max_failures) == (4, 7, 2)
    assert kept.checkpoint_at_end is False
    words = ("--film-every", "20", "--video", "--report", "--checkpoint-at-end", "--keep", "5")
    plan = plan_of("--resume", "x", *words, resumed=run)
    assert (plan.kept.film_every, plan.kept.video, plan.kept.report) == (20, True, True)
    assert (plan.kept.keep, plan.kept.checkpoint_at_end) == (5, True)
    assert plan.film_every == 20


def test_what_the_command_sets_wins_over_what_the_run_had(tmp_path):
    run = saved(tmp_path, "particle", "--set", "lr=0.002", "--set", "gamma=0.9")
    plan = plan_of("--resume", "x", "--set", "lr=0.001", resumed=run)
    assert (plan.config.lr, plan.config.gamma) == (0.001, 0.9)
    assert plan.content["overrides"] == {"lr": 0.001, "gamma": 0.9}


def test_without_films_none_are_made_on_the_way(tmp_path):
    run = saved(tmp_path, "particle", "--no-video")
    assert plan_of("--resume", "x", resumed=run).film_every == 0
    assert plan_of("particle").film_every == 200


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_later_preset_changes_no_run_of_before(name, tmp_path, monkeypatch):
    given = (*ENVS.get(name, ()), "--set", "lr=0.002", "--set", "num_envs_per_env_runner=3")
    run = saved(tmp_path, name, *given)
    before = plan_of(name, *given)
    now = EXPERIMENTS[name]

    def later(env, machine):
        config = now.build_config(env, machine)
        model = {**config.model_config, "actor_hiddens": [8], "fcnet_hiddens": [8]}
        config.rl_module(model_config={**model, "encoder": "small"})
        config.training(gamma=0.5, lr=1.0, train_batch_size_per_learner=2000, grad_clip=9.0)
        config.env_runners(num_envs_per_env_runner=5)
        if now.family is Particle:
            config.environment(env_config={**config.env_config, "max_cycles": 9})
        return config

    changed = replace(now, build_config=later, checkpoint_frequency=3, film_every=9, stop={})
    monkeypatch.setitem(EXPERIMENTS, name, changed)
    assert plan_of(name, *ENVS.get(name, ())).config.gamma == 0.5
    after = plan_of("--resume", "x", resumed=run)
    assert json_safe(after.config.to_dict()) == json_safe(before.config.to_dict())
    assert after.stop == before.stop and after.kept == before.kept
    assert after.content == before.content and after.notes == []
    given_now = plan_of("--resume", "x", "--set", "gamma=0.9", resumed=run)
    assert given_now.config.gamma == 0.9 and given_now.config.lr == 0.002


def test_what_follows_from_the_machine_is_not_kept(tmp_path):
    run = saved(tmp_path, "pong")
    settings = run.config["settings"]
    assert not settings.keys() & {"num_env_runners", "num_gpus_per_learner", "num_env_threads"}
    assert settings["lr"] and settings["model_config"]["encoder"] == "medium"


def test_new_settings_are_as_without_a_preset_and_lost_ones_are_told(tmp_path):
    run = saved(tmp_path, "particle")
    config = run.config
    del config["settings"]["num_critics"]  # as if it had come later; the preset has 2
    config["settings"]["leftover"] = 7
    run.write_json("config.json", config)
    plan = plan_of("--resume", "x", resumed=run)
    assert plan.config.num_critics == 1
    assert plan.notes == ["the run's setting leftover = 7 no longer exists and is ignored"]


def test_a_run_of_before_goes_on_with_the_preset(tmp_path):
    run = saved(tmp_path, "particle", "--set", "gamma=0.9")
    config = run.config
    del config["settings"]
    run.write_json("config.json", config)
    plan = plan_of("--resume", "x", resumed=run)
    assert plan.config.gamma == 0.9 and plan.config.num_critics == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--algorithm ppo", "the experiment particle-ppo: --resume continues run-1, which has"),
        ("pong", "the experiment pong: --resume continues run-1, which has particle"),
        ("particle-ippo", "the experiment particle-ippo: --resume continues"),
        ("--scenario simple_tag", "--env simple_tag: --resume continues run-1, which has"),
        ("--seed 3", "--seed 3: --resume continues run-1, which has 0"),
        ("--set lr=uniform(1e-4,1e-3)", "searches start new runs"),
        ("--num-samples 2", "searches start new runs"),
        (
            "particle --num-agents 5",
            "env_config.num_agents=5: the networks of run-1 were made with 3",
        ),
        ("particle --num-units 32 --set critic_lr=1", "actor_hiddens=[32, 32]: the networks"),
        ("particle --actions discrete", "env_config.continuous=False: the networks of run-1"),
        ("--set share_parameters=false", "share_parameters=False: the networks of run-1 were"),
    ],
)
def test_what_cannot_change_is_refused_unless_equal(words, says, tmp_path):
    (tmp_path / "run-1").mkdir()
    run = saved(tmp_path / "run-1", "particle")
    with pytest.raises(UsageError) as caught:
        plan_of(*words.split(), "--resume", "x", resumed=run)
    lines = str(caught.value).splitlines()
    assert says in lines[0] and len(lines) == 1 + ("--num-units" in words)


def test_what_is_equal_may_be_said_again(tmp_path):
    run = saved(tmp_path, "particle", "--algorithm", "ippo", "--scenario", "simple_tag")
    words = (
        "--algorithm",
        "ippo",
        "--scenario",
        "simple_tag",
        "--seed",
        "0",
        "--resume",
        "x",
        "--num-agents",
        "4",
        "--set",
        "model_config.fcnet_hiddens=[64,64]",
    )
    assert plan_of(*words, resumed=run).experiment.name == "particle-ippo"
    as_tuple = (*words[:-1], "model_config.fcnet_hiddens=(64,64)")
    assert plan_of(*as_tuple, resumed=run).experiment.name == "particle-ippo"
