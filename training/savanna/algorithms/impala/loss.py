"""The loss: policy gradient with or without a clip, value error, entropy bonus."""

from __future__ import annotations

from typing import NamedTuple

import torch

from savanna.modules.actions import Actions

STATISTICS = ("total_loss", "policy_loss", "vf_loss", "entropy")


class Samples(NamedTuple):
    """`B` agent steps and what V-trace says about them."""

    rows: torch.Tensor  # int64 [B], where their observations are
    actions: torch.Tensor  # [B], or [B, size]
    log_probs: torch.Tensor  # [B], under the policy at the start of the update
    weights: torch.Tensor  # [B], ratio of that policy to the one that acted, at most rho-bar
    targets: torch.Tensor  # [B]
    advantages: torch.Tensor  # [B]

    def __len__(self) -> int:
        return len(self.actions)

    def select(self, index: torch.Tensor) -> Samples:
        return Samples(*(column.index_select(0, index) for column in self))


def impala_loss(
    samples: Samples,
    outputs: torch.Tensor,
    values: torch.Tensor,
    *,
    actions: Actions,
    clip: float | None,
    vf_loss_coeff: float,
    entropy_coeff: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss summed over the samples, and `STATISTICS` summed likewise (no gradient).

    The policy term is IMPALA's, -w A log pi(a|x), with the weight w = min(rho-bar, pi/mu) of the
    policy at the start of the update over the one that acted, held constant (Espeholt et al. 2018,
    section 4.2). With `clip`, which makes passes after the first safe, log pi(a|x) is replaced by
    min(r A, clip(r, 1 - clip, 1 + clip) A) / A (Schulman et al. 2017, equation 7) with r the ratio
    of the current policy to that at the start of the update: the weight corrects for lag, the clip
    bounds the update, and neither uses up the other's room (Hilton et al. 2022, "Batch
    size-invariance for policy optimization", section 3).
    """
    log_probs, parts = actions.log_prob_and_entropy(outputs, samples.actions)
    advantages = samples.weights * samples.advantages
    if clip is None:
        policy = -(advantages * log_probs).sum()
    else:
        ratios = (log_probs - samples.log_probs).exp()
        clipped = ratios.clamp(1 - clip, 1 + clip)
        policy = -torch.minimum(ratios * advantages, clipped * advantages).sum()
    value = (values - samples.targets).square().sum()
    entropy = parts.sum()
    total = policy + 0.5 * vf_loss_coeff * value - entropy_coeff * entropy
    return total, torch.stack([total, policy, value, entropy]).detach()
