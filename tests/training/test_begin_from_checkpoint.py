"""New runs that start with the networks of a checkpoint's folder."""

import re
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
from command import savanna
from plans import plan_of

from savanna.errors import SavannaError, UsageError
from savanna.evaluation.policy import MODULES, load_policy
from savanna.runs.checkpoints import MANIFEST
from savanna.runs.directory import RunDirectory
from savanna.runs.resumption import Resumption, find_resumption
from savanna.session.networks import check_networks, load_networks

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")
SMALL = ("--set", "model_config.actor_hiddens=[8]", "--set", "model_config.critic_hiddens=[8]")


def checkpoint_of(plan, folder):
    """A checkpoint with the networks of a MADDPG plan, in a run directory."""
    checkpoint = folder / "checkpoint_000000"
    config = plan.config.copy(copy_frozen=False)
    config.get_multi_rl_module_spec().build().save_to_path(checkpoint / MODULES)
    RunDirectory(folder).write_json("config.json", plan.content)
    return checkpoint


def check(checkpoint, *words):
    """The message of `--resume CHECKPOINT` before anything starts."""
    check_networks(Resumption(checkpoint), plan_of(*words, checkpoint=checkpoint))


@pytest.fixture(scope="module")
def spread(tmp_path_factory):
    """A checkpoint of simple_spread with small networks and discrete actions."""
    folder = tmp_path_factory.mktemp("spread")
    return checkpoint_of(plan_of("particle", "--actions", "discrete", *SMALL), folder)


def test_without_an_experiment_all_settings_are_those_of_its_run(spread):
    plan = plan_of("--set", "lr=1e-4", "--seed", "7", checkpoint=spread)
    assert (plan.experiment.name, plan.env, plan.seed) == ("particle", "simple_spread", 7)
    assert plan.config.lr == 1e-4 and not plan.config.env_config["continuous"]
    assert plan.config.model_config["actor_hiddens"] == [8]
    check_networks(Resumption(spread), plan)


def test_a_named_experiment_fits_with_the_same_settings(spread):
    check(spread, "particle", "--actions", "discrete", *SMALL)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("particle", *SMALL), "discrete there, continuous.* env_config.continuous=False: give"),
        (
            ("particle", "--actions", "discrete"),
            r"is 8 x 18 there, 256 x 18 in the run.* model_config.actor_hiddens=\[8\], ",
        ),
        (
            ("particle", "--actions", "discrete", *SMALL, "--num-agents", "5"),
            "8 x 18 there, 8 x 30 in the run.* has env_config.num_agents=None",
        ),
        (
            ("particle", "--actions", "discrete", *SMALL, "--set", "num_critics=1"),
            "critics.1.0.weight of agent_0 is 8 x 69 there, missing in the run.* has num_critics=2",
        ),
        (
            ("particle", "--actions", "discrete", *SMALL, "--set", "share_parameters=False"),
            "networks for agent_0, the run for agent_0, agent_1, agent_2.* share_parameters=True",
        ),
        (("particle-ppo",), "missing there.* was trained with MADDPG on simple_spread"),
        (("particle", "--scenario", "simple_tag"), "the run for adversary_0.* on simple_spread"),
        (("cartpole",), "networks for agent_0, the run for default_policy.* on simple_spread"),
    ],
)
def test_other_networks_are_refused_with_what_they_were_made_with(spread, words, says):
    with pytest.raises(UsageError) as caught:
        check(spread, *words)
    [line] = str(caught.value).splitlines()
    assert line.startswith(f"--resume: checkpoint {spread} does not fit: ")
    assert re.search(says, line), line
    assert line.endswith("to use all settings of the checkpoint's run.")


def test_what_a_search_draws_is_checked_as_well(spread):
    config = plan_of("particle", "--actions", "discrete", *SMALL[:2]).config
    spec = config.copy(copy_frozen=False).get_multi_rl_module_spec()
    learner = SimpleNamespace(module=spec.build())
    algorithm = SimpleNamespace(learner_group=SimpleNamespace(_learner=learner))
    with pytest.raises(UsageError, match="critics.0.0.weight of agent_0 is 8 x 69 there, 256 x 69"):
        load_networks(algorithm, spread)


def test_elsewhere_it_needs_an_experiment(spread, tmp_path):
    shutil.copytree(spread, tmp_path / "alone")
    with pytest.raises(UsageError, match="starts a new run. Name its experiment"):
        plan_of(checkpoint=tmp_path / "alone")
    check(tmp_path / "alone", "particle", "--actions", "discrete", *SMALL)


def test_another_environment_needs_an_experiment(spread):
    with pytest.raises(UsageError, match="simple_tag: the checkpoint was trained on simple_s"):
        plan_of("--env", "simple_tag", checkpoint=spread)


@pytest.mark.parametrize("manifest", [True, False])
def test_a_damaged_one_is_refused(copied, manifest):
    """Old checkpoints have no manifest with the sizes of their files."""
    checkpoint = RunDirectory.find("latest", copied / "runs").checkpoint_path(0)
    if not manifest:
        (checkpoint / MANIFEST).unlink()
    assert find_resumption(str(checkpoint), copied / "runs").origin is not None
    (checkpoint / "learner_group/learner/state.pkl").write_text("")
    with pytest.raises(SavannaError, match="damaged"):
        find_resumption(str(checkpoint), copied / "runs")


def weights(run, number):
    state = load_policy(run.checkpoint_path(number)).module.get_state()
    return {name: np.asarray(values) for name, values in state.items()}


def test_nothing_but_the_networks_is_taken_over(copied):
    old = RunDirectory.find("latest", copied / "runs")
    folder = old.checkpoint_path(old.checkpoints()[-1].number)
    result = savanna(
        "train",
        "--resume",
        folder,
        "--set",
        "lr=1e-12",
        "--stop",
        "none",
        "--stop",
        "iterations=1",
        *QUICK,
        cwd=copied,
    )
    assert result.returncode == 0, result.stderr
    new = RunDirectory.find("latest", copied / "runs")
    assert new.path != old.path and new.metadata["resumed_from"] == str(folder)
    [row], before = new.metrics(), old.metrics()
    assert row["iteration"] == 1 and row["agent_steps"] < before[0]["agent_steps"] + 8
    assert row["episodes_total"] < before[-1]["episodes_total"]
    assert row["episode_return_mean"] > 1.5 * before[0]["episode_return_mean"], "it plays as it did"
    had, has = weights(old, old.checkpoints()[-1].number), weights(new, 0)
    assert had.keys() == has.keys()
    for name in had:
        if name.startswith(("value_head", "returns")):
            continue  # their scale has followed the new returns
        np.testing.assert_allclose(has[name], had[name], atol=1e-6)
