"""A resumed run equals one that was not interrupted, where sampling is synchronous."""

import pickle
import shutil

import numpy as np
from command import savanna
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from savanna.algorithms.continuation import is_whole_in_a_pickle, pack_env_runner, unpack_env_runner
from savanna.algorithms.ppo import PPOConfig
from savanna.envs.gymnasium_env import Gymnasium
from savanna.envs.rllib_world import RLlibWorld
from savanna.runs.directory import RunDirectory

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report", "--checkpoint-freq", "2")
SETTINGS = {
    "train_batch_size_per_learner": 512,
    "minibatch_size": 128,
    "num_epochs": 2,
    "num_envs_per_env_runner": 4,
    "entropy_coeff": [[0, 0.05], [4000, 0.0]],
    "lr": [[0, 1e-3], [4000, 1e-4]],
    "kl_target": 0.001,  # its coefficient moves
}
SAME = ("agent_steps", "episodes_total", "episode_return_mean", "entropy", "kl", "value_loss")


def networks(run: RunDirectory, number: int) -> dict[str, np.ndarray]:
    folder = run.checkpoint_path(number) / "learner_group/learner/rl_module/default_policy"
    state = pickle.loads((folder / "module_state.pkl").read_bytes())
    return {name: np.asarray(value) for name, value in state.items()}


def test_ppo_has_the_same_weights_bit_by_bit(tmp_path):
    settings = [word for k, v in SETTINGS.items() for word in ("--set", f"{k}={v}")]
    settings += ["--num-env-runners", "1", "--seed", "3", "--stop", "none"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    command = ("train", "cartpole", *settings, "--stop", "iterations=5", *QUICK)
    result = savanna(*command, cwd=whole)
    assert result.returncode == 0, result.stderr
    shutil.copytree(whole, parts, symlinks=True)
    one = RunDirectory.find("latest", whole / "runs")
    first = one.checkpoints()[0]
    assert first.iteration == 2
    again = ("train", "--resume", f"{one.id}@{first.number}", *QUICK)
    result = savanna(*again, cwd=parts)
    assert result.returncode == 0, result.stderr
    other = RunDirectory.find("latest", parts / "runs")
    numbers = [run.checkpoints()[-1].number for run in (one, other)]
    wanted, found = networks(one, numbers[0]), networks(other, numbers[1])
    assert wanted.keys() == found.keys()
    rows = [run.metrics() for run in (one, other)]
    assert [row["iteration"] for row in rows[1]] == [1, 2, 3, 4, 5]
    for a, b in zip(*rows, strict=True):
        assert [a[name] for name in SAME] == [b[name] for name in SAME]
    for name, value in wanted.items():
        np.testing.assert_array_equal(value, found[name])


def env_runner(**env_config) -> SingleAgentEnvRunner:
    config = PPOConfig().environment("CartPole-v1", env_config=env_config)
    config.env_runners(num_envs_per_env_runner=2, rollout_fragment_length=30).debugging(seed=4)
    return SingleAgentEnvRunner(config=config, worker_index=1)


def seen(env_runner) -> list[list[float]]:
    return [e.get_observations().tolist() for e in env_runner.sample() if len(e)]


def test_an_env_runner_goes_on_in_the_middle_of_its_episodes():
    one, other = env_runner(), env_runner()
    seen(one)
    index, content = pack_env_runner(one)
    other.module.set_state(one.module.get_state())
    wanted = seen(one)
    unpack_env_runner(other, {index: content})
    assert seen(other) == wanted


def test_other_settings_of_the_environment_begin_new_episodes():
    one, other = env_runner(), env_runner(sutton_barto_reward=True)
    seen(one)
    unpack_env_runner(other, dict([pack_env_runner(one)]))
    assert all(env.unwrapped._sutton_barto_reward for env in other.env.unwrapped.envs)
    assert other._needs_initial_reset and seen(other)


def test_which_environments_go_on_in_the_middle_of_an_episode():
    """The pickle of other environments may only say how to create them again."""
    assert is_whole_in_a_pickle(Gymnasium("CartPole-v1", {}).make_flat())
    assert is_whole_in_a_pickle(RLlibWorld("simple_spread", {}))
    assert not is_whole_in_a_pickle(RLlibWorld("simple_spread", {"backend": "mpe2"}))
    own = Gymnasium("CartPole-v1", {}).make_flat()
    own.unwrapped.__class__ = type("Own", (type(own.unwrapped),), {"__module__": "mine"})
    assert not is_whole_in_a_pickle(own) and not is_whole_in_a_pickle(None)
    own.unwrapped.metadata = {"picklable": True}
    assert is_whole_in_a_pickle(own)
