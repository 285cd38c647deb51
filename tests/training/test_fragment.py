"""The fragment path against RLlib's own env runner, on the same seeds and actions."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.algorithms.ppo import PPOConfig
from ray.rllib.core.columns import Columns
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.core.rl_module.torch import TorchRLModule
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from savanna.algorithms.impala import Impala
from savanna.algorithms.impala.batch import TrainBatch
from savanna.algorithms.impala.env_runner import AtariEnvRunner
from savanna.algorithms.impala.fragment import stack_indices
from savanna.envs.atari import make_atari_vector_env
from savanna.errors import UsageError

ENV = "PongNoFrameskip-v4"
ENVS, STEPS = 2, 60
CPU = torch.device("cpu")


class ScriptedModule(TorchRLModule):
    """A deterministic policy whose action depends on every pixel of the stack."""

    def _forward(self, batch, **kwargs):
        observations = batch[Columns.OBS].flatten(1).long()
        weights = torch.arange(observations.shape[1]) % 251 + 1
        action = (observations * weights).sum(1) % 6
        logits = torch.full((len(action), 6), -1e4)
        logits[torch.arange(len(action)), action] = 0.0
        return {Columns.ACTION_DIST_INPUTS: logits}


def scripted_runner(fragments: int) -> tuple[AtariEnvRunner, list]:
    config = (
        Impala.get_default_config()
        .environment(ENV)
        .env_runners(num_envs_per_env_runner=ENVS, rollout_fragment_length=STEPS)
        .rl_module(rl_module_spec=RLModuleSpec(module_class=ScriptedModule))
        .debugging(seed=5)
    )
    runner = AtariEnvRunner(config=config, worker_index=1)
    runner.env_seeds = lambda: np.arange(6, 6 + ENVS, dtype=np.int32)
    return runner, [runner.sample_fragment() for _ in range(fragments)]


@pytest.fixture(scope="module")
def played() -> list:
    """With this policy, Pong's first episode ends after about 760 agent steps."""
    return scripted_runner(fragments=16)[1]


def rebuild(fragment) -> np.ndarray:
    """Stacks `[T + 1, N, S, height, width]` of a fragment."""
    frames = fragment.frames.reshape(-1, *fragment.frames.shape[2:])
    frames = np.concatenate([frames, np.zeros_like(frames[:1])])
    return frames[stack_indices(fragment.ages, 4, blank=len(frames) - 1)]


def test_same_observations_actions_rewards_and_ends_as_rllibs_runner(played):
    fragments = played

    def make(config):
        return make_atari_vector_env(ENV, config["num_envs"])

    gym.envs.registry.pop("rllib-single-agent-env-v0", None)
    from ray.tune.registry import register_env

    register_env("fragment-test-pong", make)
    config = (
        PPOConfig()
        .environment("fragment-test-pong")
        .env_runners(
            num_envs_per_env_runner=ENVS,
            rollout_fragment_length=STEPS,
            gym_env_vectorize_mode="vector_entry_point",
        )
        .rl_module(rl_module_spec=RLModuleSpec(module_class=ScriptedModule))
        .debugging(seed=5)
    )
    stock = SingleAgentEnvRunner(config=config, worker_index=1)
    chunks = [e for _ in range(16) for e in stock.sample(num_timesteps=ENVS * STEPS)]
    by_id: dict[str, list] = {}
    for chunk in chunks:
        by_id.setdefault(chunk.id_, []).append(chunk)
    stock_episodes = [
        {
            "rewards": np.concatenate([c.get_rewards() for c in parts]),
            "actions": np.concatenate([c.get_actions() for c in parts]),
            "observations": np.concatenate([c.get_observations()[: len(c)] for c in parts]),
            "done": parts[-1].is_terminated,
        }
        for parts in by_id.values()
    ]

    ours = []
    for env in range(ENVS):
        rows = {"rewards": [], "actions": [], "observations": []}
        for fragment in fragments:
            stacks = rebuild(fragment)
            for step in range(STEPS):
                if fragment.valid[step, env]:
                    rows["rewards"].append(fragment.rewards[step, env])
                    rows["actions"].append(fragment.actions[step, env])
                    rows["observations"].append(stacks[step, env])
                if fragment.terminated[step, env]:
                    ours.append({k: np.stack(v) for k, v in rows.items()} | {"done": True})
                    rows = {"rewards": [], "actions": [], "observations": []}
        ours.append({k: np.stack(v) for k, v in rows.items()} | {"done": False})

    assert sum(e["done"] for e in ours) >= 1
    assert sum(e["done"] for e in ours) == sum(e["done"] for e in stock_episodes)

    def order(episode):
        return (not episode["done"], episode["rewards"].tolist(), episode["actions"].tolist())

    for mine, theirs in zip(sorted(ours, key=order), sorted(stock_episodes, key=order)):
        # Stock counts 960 steps of every environment, resets not included; ours includes them.
        length = len(mine["actions"])
        assert mine["done"] == theirs["done"] and length >= 1
        for name in ("rewards", "actions", "observations"):
            np.testing.assert_array_equal(mine[name], theirs[name][:length])
        if mine["done"]:
            assert length == len(theirs["actions"])


def test_episode_statistics_and_resetting_rows(played):
    fragments = played
    episodes = [e for f in fragments for e in f.episodes]
    assert episodes and all(-21 <= e.episode_return <= 21 for e in episodes)
    rewards = np.concatenate([f.rewards for f in fragments])
    valid = np.concatenate([f.valid for f in fragments])
    terminated = np.concatenate([f.terminated for f in fragments])
    assert (~valid).sum() == terminated[:-1].sum() == len(episodes)
    np.testing.assert_array_equal(~valid[1:], terminated[:-1])
    assert not rewards[~valid].any()
    first = np.flatnonzero(terminated.any(axis=1))[0]
    env = np.flatnonzero(terminated[first])[0]
    assert episodes[0].episode_return == rewards[: first + 1, env].sum()
    assert episodes[0].length == first + 1
    assert sum(len(f) for f in fragments) == valid.sum()


def test_fragments_follow_on_and_the_batch_rebuilds_every_stack():
    _, (first, second) = scripted_runner(fragments=2)
    np.testing.assert_array_equal(rebuild(first)[-1], rebuild(second)[0])
    batch = TrainBatch.from_fragments([first, second], CPU)
    stacks = batch.frames[batch.stacks]
    np.testing.assert_array_equal(stacks[:, :ENVS].numpy(), rebuild(first))
    np.testing.assert_array_equal(stacks[:, ENVS:].numpy(), rebuild(second))
    assert batch.actions.shape == (STEPS, 2 * ENVS)
    assert batch.steps == len(first) + len(second)


def test_recorded_log_probabilities_are_those_of_the_policy():
    config = (
        Impala.get_default_config()
        .environment(ENV)
        .env_runners(num_envs_per_env_runner=ENVS, rollout_fragment_length=8)
        .rl_module(model_config={"bfloat16": False})
        .debugging(seed=1)
    )
    runner = AtariEnvRunner(config=config, worker_index=1)
    with torch.no_grad():
        runner.module.policy_head.weight.mul_(200)
    fragment = runner.sample_fragment()
    stacks = torch.from_numpy(rebuild(fragment)[:-1]).flatten(0, 1)
    logits = runner.module.forward_inference({Columns.OBS: stacks})[Columns.ACTION_DIST_INPUTS]
    expected = logits.log_softmax(-1).gather(1, torch.from_numpy(fragment.actions).view(-1, 1))
    np.testing.assert_allclose(fragment.log_probs.ravel(), expected.ravel(), atol=1e-4)
    assert fragment.log_probs.std() > 0


def test_actions_are_drawn_from_the_policy():
    runner, _ = scripted_runner(fragments=1)
    logits = torch.tensor([[0.0, 1.0, -1.0, 0.5, -20.0, 0.0]]).repeat(4000, 1)
    runner.module._forward = lambda batch: {Columns.ACTION_DIST_INPUTS: logits}
    actions, log_probs = runner._act(np.zeros((4000, 1), np.uint8))
    shares = np.bincount(actions, minlength=6) / 4000
    np.testing.assert_allclose(shares, logits[0].softmax(-1), atol=0.03)
    np.testing.assert_allclose(log_probs[:5], logits[0].log_softmax(-1)[actions[:5]], rtol=1e-5)


def test_no_two_environments_share_a_seed():
    config = Impala.get_default_config().environment(ENV).env_runners(num_envs_per_env_runner=16)
    config.debugging(seed=0)
    seeds = []
    for worker_index in range(4):
        runner = AtariEnvRunner.__new__(AtariEnvRunner)
        runner.config, runner.worker_index, runner.num_envs = config, worker_index, 16
        seeds += runner.env_seeds().tolist()
    assert len(set(seeds)) == len(seeds) == 64


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"num_learners": 1}, "num_learners must be 0"),
        ({"env_config": {"frame_size": 50, "frame_stack": 4}}, "frame_size must be one of"),
        ({"env": "PnogNoFrameskip-v4"}, "Did you mean"),
        ({"num_epochs": 0}, "num_epochs must be"),
        ({"_model_config": {"encoder": "huge"}}, "encoder must be one of small"),
    ],
)
def test_bad_settings_are_named(change, says):
    config = Impala.get_default_config().environment(ENV)
    for name, value in change.items():
        setattr(config, name, value)
    with pytest.raises(UsageError, match=says):
        config.validate()
