"""The learner on artificial fragments: what it learns from, and what it must not see."""

import dataclasses

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.core.columns import Columns
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from savanna.algorithms.impala import Impala
from savanna.algorithms.impala.batch import TrainBatch
from savanna.algorithms.impala.fragment import Fragment
from savanna.algorithms.impala.learner import select_rows
from savanna.algorithms.impala.loss import Samples, impala_loss
from savanna.modules.actions import Categorical
from savanna.modules.atari import AtariModule, PixelStandardizer

STEPS, ENVS, SIZE = 16, 8, 42
SPACES = (gym.spaces.Box(0, 255, (4, SIZE, SIZE), np.uint8), gym.spaces.Discrete(6))


def make_learner(**training):
    config = Impala.get_default_config().environment("PongNoFrameskip-v4").debugging(seed=3)
    config.training(minibatch_size=32, **training)
    config.rl_module(model_config={"encoder": "small", "bfloat16": False})
    spec = config.get_rl_module_spec(spaces={DEFAULT_MODULE_ID: SPACES})
    learner = config.get_default_learner_class()(config=config, module_spec=spec)
    learner.build()
    return learner


def make_fragment(rng, module=None, end=None, **changes):
    """A fragment of noise; with `module`, its actions; reward 1 for action 2."""
    frames = rng.integers(0, 255, (4 + STEPS, ENVS, SIZE, SIZE), dtype=np.uint8)
    actions = rng.integers(0, 6, (STEPS, ENVS))
    log_probs = np.full((STEPS, ENVS), -np.log(6), np.float32)
    if module is not None:
        stacks = np.stack([frames[t : t + 4] for t in range(STEPS)]).swapaxes(1, 2)
        flat = torch.from_numpy(stacks.reshape(-1, 4, SIZE, SIZE))
        logits = module.forward_inference({Columns.OBS: flat})[Columns.ACTION_DIST_INPUTS]
        distribution = torch.distributions.Categorical(logits=logits)
        chosen = distribution.sample()
        actions = chosen.view(STEPS, ENVS).numpy()
        log_probs = distribution.log_prob(chosen).view(STEPS, ENVS).numpy()
    none = np.zeros((STEPS, ENVS), bool)
    terminated, valid = none.copy(), ~none
    if end is not None:
        terminated[end], valid[end + 1] = True, False
    fragment = Fragment(
        frames=frames,
        ages=np.full((STEPS + 1, ENVS), 3, np.uint8),
        actions=actions,
        log_probs=log_probs,
        rewards=(actions == 2).astype(np.float32) * valid,
        terminated=terminated,
        truncated=none,
        valid=valid,
        weights_version=1,
        episodes=[],
    )
    return dataclasses.replace(fragment, **changes)


def update(learner, fragments, **kwargs):
    return learner.update(
        training_data=TrainingData(episodes=fragments),
        timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 0},
        **kwargs,
    )


def statistic(results, name):
    return results[DEFAULT_MODULE_ID][name].peek()


def weights(learner):
    return {k: v.clone() for k, v in learner.module[DEFAULT_MODULE_ID].state_dict().items()}


@pytest.mark.parametrize("training", [{}, {"num_epochs": 3, "clip_param": 0.2}])
def test_it_learns_which_action_pays(training):
    learner = make_learner(lr=2e-3, gamma=0.0, normalize_advantages=True, **training)
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    module = learner.module[DEFAULT_MODULE_ID]
    for _ in range(15):
        update(learner, [make_fragment(rng, module), make_fragment(rng, module)])
    assert make_fragment(rng, module).rewards.mean() > 0.6 > 3 / 6


def test_resetting_rows_teach_nothing():
    """Whatever is in a row that is not an agent step, the resulting weights are the same."""
    fragment = make_fragment(np.random.default_rng(0), end=5)
    poisoned_rewards, poisoned_actions = fragment.rewards.copy(), fragment.actions.copy()
    poisoned_rewards[6], poisoned_actions[6] = 1e3, 5
    poisoned = dataclasses.replace(fragment, rewards=poisoned_rewards, actions=poisoned_actions)
    outcomes = []
    for given in (fragment, poisoned):
        learner = make_learner(clip_rewards=False)
        update(learner, [given])
        outcomes.append(weights(learner))
    for name, value in outcomes[0].items():
        torch.testing.assert_close(value, outcomes[1][name], rtol=0, atol=0)


def test_every_pass_takes_every_sample_once():
    learner = make_learner(num_epochs=3)
    passes = [sum((m.tolist() for m in learner._minibatches(100)), []) for _ in range(2)]
    assert all(sorted(p) == list(range(100)) for p in passes)
    assert passes[0] != passes[1]


def test_micro_batches_add_up_to_the_minibatch():
    fragment = make_fragment(np.random.default_rng(1))
    outcomes = []
    for micro_batch_size in (512, 7):
        learner = make_learner(micro_batch_size=micro_batch_size)
        update(learner, [fragment])
        outcomes.append(weights(learner))
    for name, value in outcomes[0].items():
        torch.testing.assert_close(value, outcomes[1][name], rtol=1e-3, atol=2e-4)


def test_it_counts_samples_once_however_often_they_are_used():
    learner = make_learner(num_epochs=4)
    results = update(learner, [make_fragment(np.random.default_rng(0), end=3)])
    trained = results["__all_modules__"]["num_env_steps_trained_lifetime"].peek()
    assert trained == STEPS * ENVS - ENVS
    for name in ("policy_loss", "vf_loss", "entropy", "mean_kl_loss", "vf_explained_var"):
        assert np.isfinite(statistic(results, name))
    assert 0 < statistic(results, "entropy") <= np.log(6) + 1e-4
    assert statistic(results, "default_optimizer_learning_rate") == pytest.approx(5e-4)


def test_the_weight_is_truncated_and_corrects_for_lag():
    """Samples of a policy half as fond of its actions weigh at most 1, of one twice as fond 1/2."""
    learner = make_learner()
    base = make_fragment(np.random.default_rng(0))
    found = []
    for shift in (-np.log(2), 0.0, np.log(2)):
        given = dataclasses.replace(base, log_probs=base.log_probs + np.float32(shift))
        batch = TrainBatch.from_fragments([given], torch.device("cpu"))
        chosen, _ = learner._samples(batch, learner._observations(batch))
        found.append(float(chosen.weights.mean()))
    assert found == pytest.approx([1.0, 1.0, 0.5], abs=0.02)


def test_lag_is_counted_in_updates():
    learner = make_learner(num_epochs=4)
    rng = np.random.default_rng(0)
    for _ in range(3):
        update(learner, [make_fragment(rng)])
    mixed = [make_fragment(rng, weights_version=version(learner) - back) for back in (2, 1)]
    assert statistic(update(learner, mixed), "policy_lag") == 1.5


def version(learner):
    return learner.get_state()["weights_seq_no"]


def test_schedules_follow_the_agent_steps():
    learner = make_learner(lr=[[0, 1e-3], [1000, 1e-4]], entropy_coeff=[[0, 0.02], [1000, 0.0]])
    rng = np.random.default_rng(0)
    results = learner.update(
        training_data=TrainingData(episodes=[make_fragment(rng)]),
        timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: 500},
    )
    assert statistic(results, "entropy_coeff") == pytest.approx(0.01)
    assert statistic(results, "default_optimizer_learning_rate") == pytest.approx(5.5e-4)


def samples(ratio_log, advantages, weights=1.0):
    count = len(advantages)
    return Samples(
        rows=torch.arange(count),
        actions=torch.zeros(count, dtype=torch.long),
        log_probs=torch.log(torch.tensor(0.5)) - torch.tensor(ratio_log),
        weights=torch.full((count,), weights),
        targets=torch.ones(count),
        advantages=torch.tensor(advantages),
    )


@pytest.mark.parametrize(
    ("ratio_log", "advantage", "moves"),
    [(0.0, 1.0, True), (0.5, 1.0, False), (0.5, -1.0, True), (-0.5, -1.0, False)],
)
def test_the_clip_stops_only_what_pushes_further(ratio_log, advantage, moves):
    logits = torch.zeros(1, 2, requires_grad=True)
    values = torch.zeros(1)
    loss, _ = impala_loss(
        samples([ratio_log], [advantage]),
        logits,
        values,
        actions=Categorical(2),
        clip=0.2,
        vf_loss_coeff=0.5,
        entropy_coeff=0.0,
    )
    loss.backward()
    assert bool(logits.grad.abs().sum() > 0) is moves


def test_without_a_clip_it_is_the_weighted_policy_gradient():
    logits = torch.zeros(1, 2, requires_grad=True)
    loss, statistics = impala_loss(
        samples([1.0], [2.0], weights=0.75),
        logits,
        torch.zeros(1),
        actions=Categorical(2),
        clip=None,
        vf_loss_coeff=0.5,
        entropy_coeff=0.0,
    )
    loss.backward()
    # d/dlogit of -0.75 * 2 * log softmax at (0, 0): -1.5 * (1 - 0.5), +1.5 * 0.5
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.75, 0.75]]))
    torch.testing.assert_close(statistics[2], torch.tensor(1.0))


def test_standardizer_gives_the_mean_and_deviation_of_all_frames():
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 255, (90, 6, 6), dtype=np.uint8))
    frames[:, 0, 0] = 200
    standardizer = PixelStandardizer(6, 6, limit=90)
    for part in frames.split([10, 30, 50]):
        standardizer.update(part)
    centred = frames.float() - frames.float().mean(0)
    torch.testing.assert_close(standardizer.mean, frames.float().mean(0))
    torch.testing.assert_close(standardizer.square, centred.square().mean())
    output = standardizer(frames, torch.float32)
    assert abs(output.mean()) < 1e-4 and output.std() == pytest.approx(1, abs=0.01)
    assert output[:, 0, 0].abs().max() < 1e-3
    standardizer.update(frames[:5] * 0)
    torch.testing.assert_close(standardizer.mean, frames.float().mean(0))


@pytest.mark.parametrize(("encoder", "size"), [("small", 42), ("medium", 42), ("nature", 84)])
def test_module_takes_bytes_and_agrees_in_both_precisions(encoder, size):
    outputs = []
    for bfloat16 in (False, True):
        torch.manual_seed(0)
        module = AtariModule(
            observation_space=gym.spaces.Box(0, 255, (4, size, size), np.uint8),
            action_space=gym.spaces.Discrete(6),
            inference_only=False,
            model_config={"encoder": encoder, "standardize_frames": 100, "bfloat16": bfloat16},
        )
        observations = torch.randint(0, 255, (5, 4, size, size), dtype=torch.uint8)
        module.standardizer.update(observations.flatten(0, 1))
        outputs.append(module.forward_inference({Columns.OBS: observations}))
    assert outputs[0][Columns.ACTION_DIST_INPUTS].shape == (5, 6)
    assert outputs[0][Columns.VF_PREDS].shape == (5,)
    for name in (Columns.ACTION_DIST_INPUTS, Columns.VF_PREDS):
        assert outputs[1][name].dtype == torch.float32
        torch.testing.assert_close(outputs[0][name], outputs[1][name], rtol=0.1, atol=0.05)


def test_selected_rows_keep_the_channels_last():
    stacks = torch.rand(10, 4, 6, 6).contiguous(memory_format=torch.channels_last)
    rows = torch.tensor([7, 0, 7])
    chosen = select_rows(stacks, rows)
    torch.testing.assert_close(chosen, stacks[rows])
    assert chosen.is_contiguous(memory_format=torch.channels_last)
