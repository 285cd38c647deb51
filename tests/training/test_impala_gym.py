"""IMPALA on any environment: what env runners record, and what the learner makes of it."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from any_spaces import Anything
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from savanna.algorithms.impala import GymImpala
from savanna.algorithms.impala import gym_env_runner as runner_module
from savanna.algorithms.impala.batch import GymBatch
from savanna.algorithms.impala.fragment import GymFragment
from savanna.algorithms.impala.gym_env_runner import GymEnvRunner
from savanna.algorithms.impala.vtrace import vtrace
from savanna.envs.gymnasium_env import Gymnasium
from savanna.errors import SavannaError, UsageError

CPU = torch.device("cpu")
ENVS, STEPS = 3, 40


def config_of(env="CartPole-v1", **training):
    config = (
        GymImpala.get_default_config()
        .environment(env)
        .env_runners(num_envs_per_env_runner=ENVS, rollout_fragment_length=STEPS)
        .debugging(seed=4)
    )
    return config.training(minibatch_size=32, **training)


def fragments(count, env="CartPole-v1"):
    runner = GymEnvRunner(config=config_of(env), worker_index=1)
    return runner, [runner.sample_fragment() for _ in range(count)]


def test_fragments_are_what_a_plain_loop_over_each_environment_sees():
    """With the same seeds and actions, one environment at a time, resets written out."""
    runner, played = fragments(4)
    columns = {
        name: np.concatenate([getattr(f, name) for f in played])
        for name in ("actions", "rewards", "terminated", "truncated", "valid")
    }
    seen = np.concatenate(
        [played[0].observations[""][:1]] + [f.observations[""][1:] for f in played]
    )
    episodes = [e for f in played for e in f.episodes]
    assert len(episodes) >= ENVS
    expected = []
    for index, seed in enumerate(runner.env_seeds()):
        env, over, total, length = Gymnasium("CartPole-v1", {}).make_flat(), False, 0.0, 0
        np.testing.assert_array_equal(seen[0, index], env.reset(seed=int(seed))[0])
        for step in range(4 * STEPS):
            assert columns["valid"][step, index] == (not over)
            if over:
                observation, reward, terminated, truncated = env.reset()[0], 0.0, False, False
                total, length = 0.0, 0
            else:
                action = int(columns["actions"][step, index])
                observation, reward, terminated, truncated, _ = env.step(action)
                total, length = total + reward, length + 1
            over = terminated or truncated
            if over:
                expected.append((step, index, total, length))
            np.testing.assert_array_equal(seen[step + 1, index], observation)
            assert columns["rewards"][step, index] == reward
            assert columns["terminated"][step, index] == terminated
            assert columns["truncated"][step, index] == truncated
    assert [(e.episode_return, e.length) for e in episodes] == [e[2:] for e in sorted(expected)]
    assert sum(map(len, played)) == columns["valid"].sum()


def test_fragments_follow_on():
    _, (first, second) = fragments(2)
    np.testing.assert_array_equal(first.observations[""][-1], second.observations[""][0])
    assert not np.shares_memory(first.observations[""], second.observations[""])


@pytest.mark.parametrize("env", ["CartPole-v1", "Pendulum-v1"])
def test_recorded_log_probabilities_are_those_of_the_policy(env):
    runner, (fragment,) = fragments(1, env)
    seen = torch.from_numpy(fragment.observations[""][:-1])
    with torch.no_grad():
        outputs = runner.module.outputs(seen)
        chosen = torch.from_numpy(fragment.actions)
        expected = runner.module.actions.log_prob(outputs, chosen)
    np.testing.assert_allclose(fragment.log_probs, expected, atol=1e-5)
    assert fragment.actions.shape == ((STEPS, ENVS) if env == "CartPole-v1" else (STEPS, ENVS, 1))


def test_continuous_actions_reach_the_environment_squashed(monkeypatch):
    runner, _ = fragments(1, "Pendulum-v1")
    given = []
    step = runner.env.step
    monkeypatch.setattr(runner.env, "step", lambda a: given.append(a.copy()) or step(a))
    fragment = runner.sample_fragment()
    np.testing.assert_allclose(np.stack(given), 2 * np.tanh(fragment.actions), atol=1e-5)


def test_a_slow_environment_gives_short_fragments_and_loses_nothing(monkeypatch):
    monkeypatch.setattr(runner_module, "LONGEST_SECONDS", 0.0)
    _, played = fragments(5)
    assert [len(f.actions) for f in played] == [1] * 5
    assert all(f.observations[""].shape == (2, ENVS, 4) for f in played)
    for one, other in zip(played, played[1:], strict=False):
        np.testing.assert_array_equal(one.observations[""][-1], other.observations[""][0])


def cut(fragment, steps):
    """Its first `steps` steps."""
    rows = {
        name: getattr(fragment, name)[:steps]
        for name in ("actions", "log_probs", "rewards", "terminated", "truncated", "valid")
    }
    seen = {name: array[: steps + 1] for name, array in fragment.observations.items()}
    return dataclasses.replace(fragment, **rows, observations=seen)


def test_fragments_of_any_length_are_learned_from_together():
    """The value targets of a short fragment are the same beside a long one."""
    _, (long, other) = fragments(2)
    short = cut(other, 7)
    torch.manual_seed(0)
    values = torch.randn(STEPS + 1, 2 * ENVS)

    def targets(batch, values):
        result = vtrace(
            log_ratios=torch.zeros_like(batch.rewards),
            rewards=batch.rewards,
            values=values,
            terminated=batch.terminated,
            truncated=batch.truncated,
            gamma=0.9,
        )
        return result.targets, result.advantages

    joined = GymBatch.from_fragments([long, short], CPU)
    assert joined.steps == len(long) + len(short)
    assert not joined.valid[7:, ENVS:].any()
    both = targets(joined, values)
    alone = targets(GymBatch.from_fragments([short], CPU), values[:8, ENVS:])
    for together, expected in zip(both, alone, strict=True):
        torch.testing.assert_close(together[:7, ENVS:], expected)


def test_what_is_not_finite_ends_sampling_with_the_place(monkeypatch):
    broken = gym.spaces.Box(-1, 1, (2,), np.float32)
    env = Anything(broken, gym.spaces.Discrete(2))
    env.look = lambda: np.array([0.0, np.nan], np.float32)
    monkeypatch.setattr(Gymnasium, "make", lambda self, render_mode=None: env)
    runner = GymEnvRunner(config=config_of().env_runners(num_envs_per_env_runner=1))
    with pytest.raises(SavannaError, match="gave an observation of nan in step 1 of a fragment"):
        runner.sample_fragment()


def learner_for(observations, actions, **training):
    config = config_of(lr=3e-3, gamma=0.0, normalize_advantages=True, **training)
    spec = config.get_rl_module_spec(spaces={DEFAULT_MODULE_ID: (observations, actions)})
    learner = config.get_default_learner_class()(config=config, module_spec=spec)
    learner.build()
    return learner


def played_by(learner, rng, reward_of, mask=None):
    """A fragment of noise with the learner's actions; what an action pays says `reward_of`."""
    network = learner.module[DEFAULT_MODULE_ID].unwrapped()
    seen = {"vector": rng.normal(size=(STEPS + 1, ENVS, 2)).astype(np.float32)}
    if mask is None:
        seen = {"": seen["vector"]}
    else:
        seen["action_mask"] = np.broadcast_to(np.uint8(mask), (STEPS + 1, ENVS, len(mask))).copy()
    parts = {name: torch.from_numpy(array[:-1]) for name, array in seen.items()}
    with torch.no_grad():
        outputs = network.outputs(parts.get("", parts))
        uniform = torch.from_numpy(rng.random((STEPS, ENVS, network.actions.draws)))
        actions = network.actions.draw(outputs, uniform)
        log_probs = network.actions.log_prob(outputs, actions)
    none = np.zeros((STEPS, ENVS), bool)
    return GymFragment(
        observations=seen,
        actions=actions.numpy(),
        log_probs=log_probs.numpy(),
        rewards=reward_of(network.actions.for_env(actions).numpy()).astype(np.float32),
        terminated=none,
        truncated=none,
        valid=~none,
        weights_version=1,
        episodes=[],
    )


VECTOR = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)


@pytest.mark.parametrize("size", [1.0, 1e4])
@pytest.mark.parametrize(
    ("actions", "reward_of", "random", "enough"),
    [
        (gym.spaces.Discrete(4), lambda a: a == 2, 0.25, 0.7),
        (gym.spaces.MultiDiscrete([2, 3]), lambda a: (a == [1, 2]).sum(-1), 0.83, 1.6),
        (
            gym.spaces.Box(np.float32([-2, 0]), np.float32([2, 10])),
            lambda a: -(np.abs(a - [1, 7]) / [4, 10]).sum(-1),
            -0.7,
            -0.35,
        ),
    ],
    ids=["discrete", "several", "continuous"],
)
def test_it_learns_which_actions_pay(actions, reward_of, random, enough, size):
    """Whatever the size of rewards."""
    learner = learner_for(VECTOR, actions, num_epochs=4, clip_param=0.2)
    rng = np.random.default_rng(0)

    def play():
        return played_by(learner, rng, lambda given: size * reward_of(given))

    assert play().rewards.mean() / size < random + 0.15
    for _ in range(40):
        learner.update(
            training_data=TrainingData(episodes=[play(), play()]),
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 0},
        )
    assert play().rewards.mean() / size > enough
    assert learner.learned["vf_loss"] < 10 * size**2


def test_a_masked_action_is_never_chosen_however_well_it_paid():
    space = gym.spaces.Dict({"action_mask": gym.spaces.Box(0, 1, (4,), np.uint8), "vector": VECTOR})
    learner = learner_for(space, gym.spaces.Discrete(4))
    rng = np.random.default_rng(0)
    free = played_by(learner, rng, lambda a: a == 2, mask=[1, 1, 1, 1])
    assert set(free.actions.flat) == {0, 1, 2, 3}
    for _ in range(10):
        learner.update(
            training_data=TrainingData(
                episodes=[played_by(learner, rng, lambda a: a == 2, mask=[1, 1, 1, 0])]
            ),
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 0},
        )
    masked = played_by(learner, rng, lambda a: a == 2, mask=[1, 0, 0, 1])
    assert set(masked.actions.flat) == {0, 3}
    assert all(np.isfinite(value) for value in learner.learned.values())


def test_values_keep_their_meaning_when_their_scale_changes():
    learner = learner_for(VECTOR, gym.spaces.Discrete(2))
    network = learner.module[DEFAULT_MODULE_ID].unwrapped()
    seen = torch.randn(5, 2)
    before = network.logits_and_values(seen)[1]
    returns = 1e4 + 50 * torch.randn(1000)
    for _ in range(30):
        network.see_returns(returns)
    torch.testing.assert_close(network.logits_and_values(seen)[1], before, atol=0.01, rtol=0)
    assert float(network.returns.mean) == pytest.approx(1e4, rel=1e-3)
    assert float(network.returns.deviation) == pytest.approx(50, rel=0.1)


@pytest.mark.parametrize(
    ("model", "says"),
    [
        ({"fcnet_hiddens": [64, 0]}, "fcnet_hiddens must be a list of whole numbers"),
        ({"fcnet_activation": "gelo"}, "fcnet_activation must be one of tanh, relu, silu"),
        ({"picture_units": -1}, "picture_units must be a whole number"),
    ],
)
def test_bad_settings_of_the_network_are_named(model, says):
    config = config_of()
    config._model_config = model
    with pytest.raises(UsageError, match=says):
        config.validate()
