"""V-trace (Espeholt et al. 2018, "IMPALA", section 4.1, equation 1 and remark 2)."""

from __future__ import annotations

from typing import NamedTuple

import torch


class VTrace(NamedTuple):
    """Both `[T, N]`; meaningless in rows that the caller masks out."""

    targets: torch.Tensor  # v_s, what the value function is trained towards
    advantages: torch.Tensor  # r_s + gamma v_{s+1} - V(x_s), without an importance weight


def vtrace(
    *,
    log_ratios: torch.Tensor,
    rewards: torch.Tensor,
    values: torch.Tensor,
    terminated: torch.Tensor,
    truncated: torch.Tensor,
    gamma: float,
    lambda_: float = 1.0,
    clip_rho: float = 1.0,
    clip_c: float = 1.0,
) -> VTrace:
    """Off-policy value targets and advantages of `N` sequences of `T` steps.

    Args:
        log_ratios: `[T, N]`, log pi(a|x) - log mu(a|x), target over behaviour policy.
        rewards: `[T, N]`.
        values: `[T + 1, N]`, V of every observation, the one after the last step included. Where
            a step ended an episode, the next row holds the value of the final observation.
        terminated: `[T, N]` bool; nothing follows, the next value counts as 0.
        truncated: `[T, N]` bool; the episode was cut: bootstrap from the final observation.
        gamma: discount factor.
        lambda_: factor on the trace coefficients c (remark 2); 1 is the paper's equation 1.
        clip_rho: rho-bar, upper bound of the weight of a temporal difference.
        clip_c: c-bar, upper bound of the trace coefficients.
    """
    ratios = log_ratios.exp()
    rhos = ratios.clamp(max=clip_rho)
    traces = lambda_ * ratios.clamp(max=clip_c)
    discounts = gamma * (~terminated).float()
    next_values = values[1:]
    differences = rhos * (rewards + discounts * next_values - values[:-1])
    # No trace crosses the end of an episode, whichever way it ended.
    decay = discounts * traces * (~truncated).float()

    correction = torch.zeros_like(values)  # v_s - V(x_s); nothing is known beyond the last row
    for step in reversed(range(len(rewards))):
        correction[step] = differences[step] + decay[step] * correction[step + 1]
    targets = values + correction
    following = torch.where(truncated, next_values, targets[1:])
    return VTrace(targets[:-1], rewards + discounts * following - values[:-1])
