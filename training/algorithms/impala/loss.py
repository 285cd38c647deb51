"""The loss: policy gradient with or without a clip, value error, entropy bonus."""

from __future__ import annotations

from typing import NamedTuple

import torch

STATISTICS = ("total_loss", "policy_loss", "vf_loss", "entropy")


class Samples(NamedTuple):
    """`B` agent steps and what V-trace says of them."""

    rows: torch.Tensor  # int64 [B], where their observations lie
    actions: torch.Tensor  # int64 [B]
    log_probs: torch.Tensor  # [B], under the policy that acted
    targets: torch.Tensor  # [B]
    advantages: torch.Tensor  # [B]

    def __len__(self) -> int:
        return len(self.actions)

    def select(self, index: torch.Tensor) -> Samples:
        return Samples(*(column.index_select(0, index) for column in self))


def impala_loss(
    samples: Samples,
    logits: torch.Tensor,
    values: torch.Tensor,
    *,
    clip: float | None,
    clip_rho: float,
    vf_loss_coeff: float,
    entropy_coeff: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss summed over the samples, and `STATISTICS` summed likewise (no gradient).

    Without `clip` the policy term is IMPALA's, -min(rho-bar, ratio) A log pi(a|x) with the weight
    held constant (Espeholt et al. 2018, section 4.2). With `clip` it is
    -min(ratio A, clip(ratio, 1 - clip, 1 + clip) A) (Schulman et al. 2017, equation 7), the ratio
    being that of the current policy to the one that acted: it corrects for lag as the weight does,
    and stops a reused sample from pushing further than the clip.
    """
    distribution = logits.log_softmax(-1)
    log_probs = distribution.gather(-1, samples.actions.unsqueeze(-1)).squeeze(-1)
    ratios = (log_probs - samples.log_probs).exp()
    if clip is None:
        weights = ratios.detach().clamp(max=clip_rho)
        policy = -(weights * samples.advantages * log_probs).sum()
    else:
        clipped = ratios.clamp(1 - clip, 1 + clip)
        policy = -torch.minimum(ratios * samples.advantages, clipped * samples.advantages).sum()
    value = 0.5 * (values - samples.targets).square().sum()
    entropy = -(distribution.exp() * distribution).sum()
    total = policy + vf_loss_coeff * value - entropy_coeff * entropy
    return total, torch.stack([total, policy, value, entropy]).detach()
