"""Distributions over actions, against torch's own."""

import math

import gymnasium as gym
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as reference

from savanna.modules.actions import ILLEGAL, Gaussian, actions_of
from savanna.modules.rllib_distribution import distribution_class

COUNT = 20_000


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def uniform(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(0, 99))
def test_several_categoricals_are_independent(counts, seed):
    actions = actions_of(gym.spaces.MultiDiscrete(counts))
    outputs, others = numbers(7, sum(counts), seed=seed), numbers(7, sum(counts), seed=seed + 1)
    parts, other_parts = (
        [reference.Categorical(logits=logits) for logits in given.split(counts, 1)]
        for given in (outputs, others)
    )
    chosen = torch.stack([part.sample() for part in parts], 1)
    log_probs, entropies = actions.log_prob_and_entropy(outputs, chosen)
    expected = sum(part.log_prob(chosen[:, i]) for i, part in enumerate(parts))
    torch.testing.assert_close(log_probs, expected)
    torch.testing.assert_close(actions.log_prob(outputs, chosen), expected)
    torch.testing.assert_close(entropies.sum(1), sum(part.entropy() for part in parts))
    pairs = zip(parts, other_parts, strict=True)
    torch.testing.assert_close(
        actions.kl(outputs, others), sum(reference.kl_divergence(*pair) for pair in pairs)
    )


@pytest.mark.parametrize("counts", [(3,), (3, 4)])
def test_whole_numbers_are_drawn_as_often_as_they_are_probable(counts):
    one = len(counts) == 1
    actions = actions_of(
        gym.spaces.Discrete(counts[0]) if one else gym.spaces.MultiDiscrete(counts)
    )
    outputs = numbers(1, sum(counts))
    drawn = actions.draw(outputs.expand(COUNT, -1), uniform(COUNT, actions.draws))
    best = actions.best(outputs)[0]
    for index, logits in enumerate(outputs[0].split(counts)):
        column = drawn if one else drawn[:, index]
        shares = torch.bincount(column, minlength=len(logits)) / COUNT
        torch.testing.assert_close(shares, logits.softmax(-1), atol=0.02, rtol=0)
        assert (best if one else best[index]) == logits.argmax()


def test_illegal_actions_are_never_drawn_and_sums_stay_finite():
    actions = actions_of(gym.spaces.Discrete(4))
    outputs = torch.tensor([[0.0, ILLEGAL, 1.0, ILLEGAL]]).expand(COUNT, -1)
    drawn = actions.draw(outputs, uniform(COUNT, 4))
    assert set(drawn.tolist()) == {0, 2}
    log_probs, entropies = actions.log_prob_and_entropy(outputs, drawn)
    legal = reference.Categorical(logits=torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(entropies.sum(1)[0], legal.entropy())
    torch.testing.assert_close(log_probs, legal.log_prob((drawn == 2).long()))
    assert torch.equal(actions.kl(outputs, outputs), torch.zeros(COUNT))


SPACE = gym.spaces.Box(
    np.array([-2.0, 10.0, -np.inf, 0.0], np.float32), np.array([2.0, 30.0, np.inf, np.inf])
)
MEANS = torch.tensor([0.3, -1.5, 2.0, 1.0])
LOG_DEVIATIONS = torch.tensor([-0.5, 0.4, 0.2, -1.0])
OUTPUTS = torch.cat([MEANS, LOG_DEVIATIONS])[None]


def test_continuous_actions_are_squashed_where_they_have_bounds():
    actions = actions_of(SPACE)
    drawn = actions.draw(OUTPUTS.expand(COUNT, -1), uniform(COUNT, 4))
    torch.testing.assert_close(drawn.mean(0), MEANS, atol=0.05, rtol=0)
    torch.testing.assert_close(drawn.std(0), LOG_DEVIATIONS.exp(), atol=0.05, rtol=0)
    for_env = actions.for_env(drawn)
    torch.testing.assert_close(for_env[:, 0], 2 * drawn[:, 0].tanh())
    torch.testing.assert_close(for_env[:, 1], 20 + 10 * drawn[:, 1].tanh())
    assert torch.equal(for_env[:, 2:], drawn[:, 2:]), "one bound is none: the environment clips"
    torch.testing.assert_close(actions.best(OUTPUTS)[0], MEANS)
    far = actions.for_env(torch.full((1, 4), 50.0))
    assert far[0, :2].tolist() == [2.0, 30.0]


def test_their_probabilities_are_a_gaussians_before_the_squashing():
    actions = actions_of(SPACE)
    chosen = numbers(9, 4)
    normal = reference.Normal(MEANS, LOG_DEVIATIONS.exp())
    torch.testing.assert_close(
        actions.log_prob(OUTPUTS.expand(9, -1), chosen), normal.log_prob(chosen).sum(1)
    )
    others = torch.cat([MEANS + 0.5, LOG_DEVIATIONS - 0.3])[None]
    other = reference.Normal(MEANS + 0.5, (LOG_DEVIATIONS - 0.3).exp())
    torch.testing.assert_close(
        actions.kl(OUTPUTS, others)[0], reference.kl_divergence(normal, other).sum()
    )


@pytest.mark.parametrize("log_deviation", [-3.0, -1.0, 0.0, 1.0])
@pytest.mark.parametrize("mean", [0.0, 1.5, -4.0])
def test_entropy_is_that_of_the_squashed_action(mean, log_deviation):
    """Its gradient must not push deviations up without end, as a Gaussian's does."""
    actions = Gaussian([-1.0], [1.0])
    outputs = torch.tensor([[mean, log_deviation]])
    squashed = reference.TransformedDistribution(
        reference.Normal(torch.tensor(mean), torch.tensor(log_deviation).exp()),
        reference.transforms.TanhTransform(cache_size=1),
    )
    torch.manual_seed(0)
    samples = squashed.sample((400_000,))
    expected = -squashed.log_prob(samples).mean()
    found = actions.log_prob_and_entropy(outputs, torch.zeros(1, 1))[1].sum()
    assert float(found) == pytest.approx(float(expected), abs=0.03)
    assert found < math.log(2) + 1e-3, "a uniform action has the most"


@pytest.mark.parametrize(
    "space", [gym.spaces.Discrete(3), gym.spaces.MultiDiscrete([2, 3]), SPACE], ids=str
)
def test_rllib_sees_the_same_distribution(space):
    actions = actions_of(space)
    outputs, others = numbers(6, actions.outputs), numbers(6, actions.outputs, seed=1)
    one, other = map(distribution_class(actions).from_logits, (outputs, others))
    torch.manual_seed(0)
    drawn = one.sample()
    log_probs, entropies = actions.log_prob_and_entropy(outputs, drawn)
    torch.testing.assert_close(one.logp(drawn), log_probs)
    torch.testing.assert_close(one.entropy(), entropies.sum(-1))
    torch.testing.assert_close(one.kl(other), actions.kl(outputs, others))
    assert torch.equal(one.to_deterministic().sample(), actions.best(outputs))
