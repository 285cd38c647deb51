"""Settings of MADDPG that cannot work are refused before anything starts, all at once."""

import math

import pytest

from savanna.algorithms.maddpg import MADDPG
from savanna.algorithms.maddpg import checks as checked
from savanna.algorithms.particle_ppo import ParticlePPOConfig
from savanna.envs.particle.make import make_worlds
from savanna.errors import UsageError
from savanna.planning.overrides import apply_overrides


def make_config(env_config=None, **settings):
    config = MADDPG.get_default_config().environment("simple_spread", env_config=env_config or {})
    for name, value in settings.items():
        setattr(config, name, value)
    return config


def problems(config):
    with pytest.raises(UsageError) as caught:
        config.validate()
    return str(caught.value).splitlines()


def test_settings_that_can_work_are_accepted():
    make_config().validate()
    make_config(
        lr=[[0, 1e-3], (1e6, 0.0)],
        critic_lr=1e-2,
        grad_clip=None,
        gamma=1,
        tau=1,
        seed=0,
        num_critics=2,
        target_noise=0.2,
        num_env_runners=0,
        n_step=25,
        num_steps_sampled_before_learning_starts=0,
        world_steps_per_update=0.05,
        _model_config={"actor_hiddens": []},
    ).validate()


def test_everything_that_is_wrong_is_said_at_once():
    wrong = {
        "good_policy": "ppo",
        "n_step": 0,
        "tau": 2.0,
        "logit_penalty": -1,
        "lr": -0.1,
        "num_steps_sampled_before_learning_starts": 10**7,
    }
    lines = problems(make_config(**wrong, _model_config={"actor_hiddens": 64}))
    assert len(lines) == len(wrong) + 1
    for name in (*wrong, "model_config.actor_hiddens"):
        assert any(line.startswith(name) and line.endswith(".") for line in lines), name


WHOLE = (
    "n_step",
    "policy_delay",
    "replay_capacity",
    "train_batch_size_per_learner",
    "num_steps_sampled_before_learning_starts",
    "num_env_runners",
    "num_envs_per_env_runner",
    "rollout_fragment_length",
    "max_requests_in_flight_per_env_runner",
    "num_critics",
)
NUMBERS = (
    "gamma",
    "tau",
    "lr",
    "gumbel_temperature",
    "world_steps_per_update",
    "logit_penalty",
    "target_noise",
    "target_noise_clip",
    "exploration_noise",
)


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("minibatch_size", 64, "train_batch_size_per_learner"),
        ("num_epochs", 4, "world_steps_per_update"),
    ],
)
def test_what_other_algorithms_read_is_refused(name, value, instead):
    [line] = problems(make_config(**{name: value}))
    assert line.startswith(f"{name} is not read by MADDPG") and instead in line


@pytest.mark.parametrize("value", ["auto", "1", True, None, 1.5, math.nan, -1, [1]], ids=repr)
@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers(name, value):
    [line] = problems(make_config(**{name: value}))
    assert line.startswith(f"{name} must be ") and line.endswith(f", not {value!r}.")


@pytest.mark.parametrize("value", ["0.5", True, None, math.nan, math.inf, -1, [0.5]], ids=repr)
@pytest.mark.parametrize("name", NUMBERS)
def test_numbers(name, value):
    [line] = problems(make_config(**{name: value}))
    assert line.startswith(f"{name} must be a number ") and line.endswith(f", not {value!r}.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, 0) for name in WHOLE if name not in ("num_env_runners", WHOLE[4])),
        *((name, 0) for name in ("tau", "lr", "critic_lr", "grad_clip", "gumbel_temperature")),
        *(
            (name, schedule)
            for name in ("lr", "critic_lr")
            for schedule in (
                [[0, 1e-3]],
                [[10, 1e-3], [20, 1e-4]],
                [[0, 1e-3], [0, 1e-4]],
                [0, 1e-3],
                [[0, 1e-3], [100]],
                [[0, 1e-3], [100, "0"]],
                [[0, 1e-3], [100, -1]],
                [[0, math.nan], [100, 1e-3]],
                "1e-3",
            )
        ),
        ("gamma", 1.01),
        ("num_critics", 3),
        ("world_steps_per_update", 1e-6),
        ("grad_clip", math.nan),
        ("grad_clip", "1"),
        ("grad_clip_by", "value"),
        ("share_parameters", 1),
        ("seed", -1),
        ("seed", "x"),
        ("num_learners", 1),
        ("adv_policy", None),
    ],
    ids=repr,
)
def test_what_a_setting_must_not_be(name, value):
    [line] = problems(make_config(**{name: value}))
    assert line.startswith(f"{name} must be ") and line.endswith(f", not {value!r}.")


@pytest.mark.parametrize("units", [64, [64, 0], [64.0], ["64"], None, [[64]]], ids=repr)
@pytest.mark.parametrize("name", ["actor_hiddens", "critic_hiddens"])
def test_layers(name, units):
    [line] = problems(make_config(_model_config={name: units}))
    assert line.startswith(f"model_config.{name} must be a list of whole numbers")


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"train_batch_size_per_learner": 1_000_001}, "train_batch_size_per_learner"),
        ({"world_steps_per_update": 1e7}, "world_steps_per_update"),
        ({"n_step": 26}, "n_step"),
        ({"num_envs_per_env_runner": 10**6}, "num_envs_per_env_runner x rollout_fragment_length"),
    ],
)
def test_what_would_be_lost_or_never_reached(settings, named):
    [line] = problems(make_config(**settings))
    assert line.startswith(named) and "must not be above" in line


def test_a_replay_buffer_must_fit_into_memory(monkeypatch):
    monkeypatch.setattr(checked, "get_system_memory", lambda: 4 * 10**9)
    width = make_config().layout().row_width
    most = 4 * 10**9 // (4 * width)
    make_config(replay_capacity=most).validate()
    [line] = problems(make_config(replay_capacity=most + 1))
    assert line.startswith(f"replay_capacity {most + 1} needs 4.0 GB")
    assert line.endswith(f"use at most {most}.")


def test_whole_numbers_may_be_written_as_people_write_them():
    config = make_config()
    apply_overrides(config, {"replay_capacity": 1e5, "train_batch_size_per_learner": 1e3})
    config.validate()
    assert (config.replay_capacity, config.train_batch_size_per_learner) == (100_000, 1000)
    assert isinstance(config.replay_capacity, int)


def test_the_worlds_options_are_among_what_is_wrong():
    lines = problems(make_config({"num_agents": "x"}, n_step=0))
    assert [line.split()[0] for line in lines] == ["n_step", "num_agents"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("num_agents", True),
        ("num_agents", 2.5),
        ("max_cycles", "25"),
        ("max_cycles", None),
        ("local_ratio", "half"),
        ("local_ratio", True),
    ],
)
def test_options_of_a_world_have_their_types(option, value):
    with pytest.raises(UsageError, match=f"{option} {value!r}: expected a"):
        make_worlds("simple_spread", 2, **{option: value})


def test_ppo_keeps_the_range_of_actions_that_evaluation_relies_on():
    config = ParticlePPOConfig().environment("simple_spread", env_config={"continuous": True})
    config.normalize_actions = False
    with pytest.raises(UsageError, match="normalize_actions must be true"):
        config.validate()
