"""Our distributions as RLlib's algorithms use them."""

from __future__ import annotations

from typing import Any

import torch
from ray.rllib.core.distribution.distribution import Distribution

from savanna.modules.actions import Actions


class RLlibDistribution(Distribution):
    """Of outputs `[B, ...]`; subclasses that `distribution_class` makes say what they mean."""

    actions: Actions

    def __init__(self, outputs: torch.Tensor, *, greedy: bool = False) -> None:
        super().__init__()
        self.outputs, self.greedy = outputs, greedy

    @classmethod
    def from_logits(cls, logits: torch.Tensor, **kwargs: Any) -> RLlibDistribution:
        return cls(logits)

    def sample(self, **kwargs: Any) -> torch.Tensor:
        if self.greedy:
            return self.actions.best(self.outputs)
        shape = (*self.outputs.shape[:-1], self.actions.draws)
        uniform = torch.rand(shape, device=self.outputs.device)
        return self.actions.draw(self.outputs, uniform)

    def rsample(self, **kwargs: Any) -> torch.Tensor:
        return self.sample()

    def logp(self, value: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return self.actions.log_prob(self.outputs, value)

    def entropy(self, **kwargs: Any) -> torch.Tensor:
        best = self.actions.best(self.outputs)
        return self.actions.log_prob_and_entropy(self.outputs, best)[1].sum(-1)

    def kl(self, other: Any, **kwargs: Any) -> torch.Tensor:
        return self.actions.kl(self.outputs, other.outputs)

    def to_deterministic(self) -> RLlibDistribution:
        return type(self)(self.outputs, greedy=True)

    @staticmethod
    def required_input_dim(space: Any, **kwargs: Any) -> int:
        raise NotImplementedError


def distribution_class(actions: Actions) -> type[RLlibDistribution]:
    return type("ActionDistribution", (RLlibDistribution,), {"actions": actions})
