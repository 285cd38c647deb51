"""V-trace against the sums in the paper, written out term by term."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from savanna.algorithms.impala.vtrace import vtrace


def reference(ratios, rewards, values, terminated, truncated, gamma, lambda_, rho_bar, c_bar):
    """Equation 1 of the paper for one sequence: v_s is a sum over t of discounted differences."""
    steps = len(rewards)
    targets = np.zeros(steps)
    for s in range(steps):
        targets[s] = values[s]
        weight = 1.0
        for t in range(s, steps):
            following = 0.0 if terminated[t] else values[t + 1]
            rho = min(rho_bar, ratios[t])
            targets[s] += weight * rho * (rewards[t] + gamma * following - values[t])
            if terminated[t] or truncated[t]:
                break
            weight *= gamma * lambda_ * min(c_bar, ratios[t])
    advantages = np.zeros(steps)
    for s in range(steps):
        if terminated[s]:
            following = 0.0
        elif truncated[s] or s + 1 == steps:
            following = values[s + 1]
        else:
            following = targets[s + 1]
        advantages[s] = rewards[s] + gamma * following - values[s]
    return targets, advantages


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10_000),
    steps=st.integers(1, 12),
    gamma=st.sampled_from([0.9, 0.99, 1.0]),
    lambda_=st.sampled_from([1.0, 0.95]),
    bars=st.sampled_from([(1.0, 1.0), (2.0, 1.0), (0.7, 0.5)]),
)
def test_equals_the_papers_sums(seed, steps, gamma, lambda_, bars):
    rng = np.random.default_rng(seed)
    envs = 5
    ratios = np.exp(rng.normal(0, 0.7, (steps, envs)))
    rewards = rng.normal(size=(steps, envs))
    values = rng.normal(size=(steps + 1, envs))
    terminated = rng.random((steps, envs)) < 0.2
    truncated = (rng.random((steps, envs)) < 0.2) & ~terminated
    result = vtrace(
        log_ratios=torch.from_numpy(np.log(ratios)),
        rewards=torch.from_numpy(rewards),
        values=torch.from_numpy(values),
        terminated=torch.from_numpy(terminated),
        truncated=torch.from_numpy(truncated),
        gamma=gamma,
        lambda_=lambda_,
        clip_rho=bars[0],
        clip_c=bars[1],
    )
    for env in range(envs):
        columns = (a[:, env] for a in (ratios, rewards, values, terminated, truncated))
        targets, advantages = reference(*columns, gamma, lambda_, *bars)
        np.testing.assert_allclose(result.targets[:, env], targets, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(result.advantages[:, env], advantages, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("lambda_", [1.0, 0.95])
def test_a_constant_value_is_a_fixed_point_up_to_the_border(lambda_):
    """With r = (1 - gamma) V everywhere every target is V: any lost bootstrap would show."""
    steps, envs, gamma, value = 20, 50, 0.99, 3.0
    result = vtrace(
        log_ratios=torch.randn(steps, envs) * 0.5,
        rewards=torch.full((steps, envs), (1 - gamma) * value),
        values=torch.full((steps + 1, envs), value),
        terminated=torch.zeros(steps, envs, dtype=torch.bool),
        truncated=torch.rand(steps, envs) < 0.1,
        gamma=gamma,
        lambda_=lambda_,
    )
    torch.testing.assert_close(result.targets, torch.full((steps, envs), value))
    torch.testing.assert_close(result.advantages, torch.zeros(steps, envs), atol=1e-5, rtol=0)


def test_on_policy_it_is_the_discounted_return():
    rewards = torch.tensor([[1.0], [2.0], [4.0]])
    result = vtrace(
        log_ratios=torch.zeros(3, 1),
        rewards=rewards,
        values=torch.tensor([[0.3], [-0.2], [0.1], [10.0]]),
        terminated=torch.zeros(3, 1, dtype=torch.bool),
        truncated=torch.zeros(3, 1, dtype=torch.bool),
        gamma=0.5,
    )
    expected = torch.tensor([[1 + 1 + 1 + 1.25], [2 + 2 + 2.5], [4 + 5.0]])
    torch.testing.assert_close(result.targets, expected)


def test_nothing_leaks_over_the_end_of_an_episode():
    """The rows after an end may contain anything without changing the rows before it."""

    def targets(after: float) -> torch.Tensor:
        terminated = torch.tensor([[False], [True], [False], [False]])
        return vtrace(
            log_ratios=torch.zeros(4, 1),
            rewards=torch.tensor([[0.0], [1.0], [after], [after]]),
            values=torch.tensor([[0.0], [0.0], [after], [after], [after]]),
            terminated=terminated,
            truncated=torch.zeros_like(terminated),
            gamma=0.9,
        ).targets[:2]

    torch.testing.assert_close(targets(0.0), targets(1e6))
