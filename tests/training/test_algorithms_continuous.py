"""RLlib's algorithms with continuous actions, and what they refuse."""

import numpy as np
import pytest
import torch
from command import savanna
from gymnasium import spaces
from plans import plan_of, request_of_words
from test_algorithms_by_name import QUICK, TINY, sets

from savanna.envs.gymnasium_env import Gymnasium
from savanna.errors import UsageError
from savanna.evaluation.policy import Policy, outputs_of
from savanna.experiments import get_experiment
from savanna.runs.directory import RunDirectory

PENDULUM = ("gym", "--env", "Pendulum-v1")
SMALL = sets("min_sample_timesteps_per_iteration=300")


@pytest.mark.parametrize("name", ["sac", "appo"])
def test_it_trains_is_evaluated_and_exported(name, tmp_path):
    words = (*PENDULUM, "--algorithm", name, *SMALL, *sets(*TINY[name]), "--stop", "iterations=1")
    result = savanna("train", *words, *QUICK, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert RunDirectory.find("latest", tmp_path / "runs").metrics()[0]["agent_steps_trained"] > 0
    for words in (["evaluate", "latest", "--episodes", "2"], ["export", "latest"]):
        result = savanna(*words, cwd=tmp_path)
        assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["sac", "appo"])
def test_the_best_action_is_the_middle_of_what_rllib_draws(name):
    """A network of RLlib's gives actions in -1..1, which its connector stretches to the bounds."""
    from ray.rllib.utils.spaces.space_utils import unsquash_action

    config = plan_of(*PENDULUM, "--algorithm", name).config
    [both] = Gymnasium("Pendulum-v1", {}).spaces()
    module = config.get_multi_rl_module_spec(spaces={"default_policy": both}).build()
    policy = Policy(module["default_policy"])
    seen = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    outputs = outputs_of(policy.module, torch.from_numpy(seen)).detach()
    kind = policy.module.get_exploration_action_dist_cls()
    drawn = kind.from_logits(outputs.repeat_interleave(20_000, 0)).sample().numpy()
    rllibs = np.clip(unsquash_action(drawn, policy.module.action_space), -2, 2).reshape(3, -1)
    np.testing.assert_allclose(policy.act(seen)[:, 0], np.median(rllibs, axis=1), atol=0.06)
    ours = policy.act(np.repeat(seen, 20_000, 0), np.random.default_rng(1)).reshape(3, -1)
    np.testing.assert_allclose(ours.std(axis=1), rllibs.std(axis=1), rtol=0.05)


def test_spaces_that_it_cannot_take_are_refused(monkeypatch):
    with pytest.raises(UsageError, match="actions of the kind Box, and DQN takes only Discrete"):
        plan_of(*PENDULUM, "--algorithm", "dqn")
    unbounded = spaces.Box(-np.inf, np.inf, (1,))
    picture = spaces.Box(0, 255, (84, 84, 3), np.uint8)
    for seen, acts, says in (
        (spaces.Box(-1, 1, (3,)), unbounded, "actions without bounds"),
        (picture, spaces.Discrete(2), "takes only a vector"),
        (spaces.Dict(a=picture), spaces.Discrete(2), "takes only a vector"),
    ):
        monkeypatch.setattr(Gymnasium, "spaces", lambda *_, found=(seen, acts): [found])
        with pytest.raises(UsageError, match=says):
            plan_of(*PENDULUM, "--algorithm", "sac")


def test_impala_is_on_the_menu():
    request = request_of_words("gym", "--env", "CartPole-v1", "--algorithm", "impala")
    experiment = get_experiment(request.experiment, request.algorithm)
    assert (
        experiment.algorithm == "IMPALA"
        and "savanna"
        in plan_of(
            "gym", "--env", "CartPole-v1", "--algorithm", "impala"
        ).config.algo_class.__module__
    )
