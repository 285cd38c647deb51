"""Distributions over actions: what a network's outputs mean.

They are functions of the outputs, not objects made at every step: an env runner's time is short.
What is learned from (`actions`) and what the environment is given (`for_env`) are the same but for
continuous actions within bounds. Those are drawn from a Gaussian and squashed by tanh, and what is
learned from is the number before the squashing: nothing is lost in rounding near the bounds.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import gymnasium as gym
import numpy as np
import torch
from torch import nn

ILLEGAL = -1e9
"""Added to the logits of illegal actions: their probability is 0, and sums stay finite."""
WIDEST = 1e6
"""Bounds beyond this are none."""
LOG_DEVIATIONS = (-5.0, 2.0)


class Actions(nn.Module):
    """Of outputs `[..., outputs]`. Leading axes are free."""

    outputs: int
    continuous: ClassVar[bool] = False

    def log_prob_and_entropy(
        self, outputs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """`[...]`, and the parts of the entropy `[..., parts]`, which add up to it."""
        raise NotImplementedError

    def log_prob(self, outputs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return self.log_prob_and_entropy(outputs, actions)[0]

    def kl(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Kullback-Leibler divergence from `outputs` to `others`, `[...]`."""
        raise NotImplementedError

    def draw(self, outputs: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        """Actions, from random numbers in 0..1 `[..., draws]`."""
        raise NotImplementedError

    def best(self, outputs: torch.Tensor) -> torch.Tensor:
        """The most probable actions."""
        raise NotImplementedError

    @property
    def draws(self) -> int:
        """How many random numbers an action takes."""
        return self.outputs

    def for_env(self, actions: torch.Tensor) -> torch.Tensor:
        return actions


class Categorical(Actions):
    """One whole number."""

    def __init__(self, choices: int) -> None:
        super().__init__()
        self.outputs = choices

    def log_prob_and_entropy(
        self, outputs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        distribution = outputs.log_softmax(-1)
        log_probs = distribution.gather(-1, actions.unsqueeze(-1)).squeeze(-1)
        return log_probs, -(distribution.exp() * distribution)

    def log_prob(self, outputs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
        return outputs.log_softmax(-1).gather(-1, actions.unsqueeze(-1)).squeeze(-1)

    def kl(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        distribution = outputs.log_softmax(-1)
        return (distribution.exp() * (distribution - others.log_softmax(-1))).sum(-1)

    def draw(self, outputs: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        return (outputs - (-uniform.log()).log()).argmax(-1)  # the Gumbel-max trick

    def best(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs.argmax(-1)


class Categoricals(Actions):
    """Several whole numbers, independent of each other."""

    def __init__(self, choices: tuple[int, ...]) -> None:
        super().__init__()
        self.choices, self.outputs = choices, sum(choices)
        self.parts = [Categorical(count) for count in choices]

    def log_prob_and_entropy(
        self, outputs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pairs = [
            part.log_prob_and_entropy(logits, chosen)
            for part, logits, chosen in zip(
                self.parts, self._split(outputs), actions.unbind(-1), strict=True
            )
        ]
        log_probs, entropies = zip(*pairs, strict=True)
        return torch.stack(log_probs).sum(0), torch.cat(entropies, -1)

    def kl(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        both = zip(self.parts, self._split(outputs), self._split(others), strict=True)
        return torch.stack([part.kl(one, other) for part, one, other in both]).sum(0)

    def draw(self, outputs: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        return self.best(outputs - (-uniform.log()).log())

    def best(self, outputs: torch.Tensor) -> torch.Tensor:
        return torch.stack([logits.argmax(-1) for logits in self._split(outputs)], -1)

    def _split(self, outputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return outputs.split(self.choices, -1)


class Gaussian(Actions):
    """Numbers with independent means and deviations, squashed where they have bounds.

    The outputs are the means and the logarithms of the deviations, before the squashing.
    """

    continuous = True
    middle: torch.Tensor
    reach: torch.Tensor
    bounded: torch.Tensor
    nodes: torch.Tensor
    node_weights: torch.Tensor

    def __init__(self, low: Any, high: Any) -> None:
        super().__init__()
        low, high = (torch.as_tensor(np.asarray(b), dtype=torch.float64) for b in (low, high))
        self.size = len(low)
        self.outputs = 2 * self.size
        bounded = (low.abs() < WIDEST) & (high.abs() < WIDEST)
        middle = torch.where(bounded, (low + high) / 2, 0.0)
        reach = torch.where(bounded, (high - low) / 2, 1.0)
        for name, value in (("bounded", bounded), ("middle", middle), ("reach", reach)):
            whole = value if name == "bounded" else value.float()
            self.register_buffer(name, whole, persistent=False)
        # Nodes and weights for the mean of a function of a Gaussian (Gauss-Hermite).
        nodes, weights = map(torch.from_numpy, np.polynomial.hermite_e.hermegauss(16))
        self.register_buffer("nodes", nodes.float(), persistent=False)
        self.register_buffer("node_weights", (weights / weights.sum()).float(), persistent=False)

    @property
    def draws(self) -> int:
        return self.size

    def log_prob_and_entropy(
        self, outputs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the numbers before the squashing, and the entropy of those after it, in -1..1."""
        mean, log_deviation = self._shape_of(outputs)
        distance = (actions - mean) * (-log_deviation).exp()
        constant = 0.5 * math.log(2 * math.pi)
        log_probs = (-0.5 * distance.square() - log_deviation - constant).sum(-1)
        entropy = log_deviation + (constant + 0.5)
        if self.bounded.any():
            entropy = entropy + torch.where(self.bounded, self._shrinking(mean, log_deviation), 0.0)
        return log_probs, entropy

    def kl(self, outputs: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """Squashing both alike does not change it."""
        (mean, log_deviation), (mean_2, log_2) = map(self._shape_of, (outputs, others))
        ratio = (2 * (log_deviation - log_2)).exp()
        distance = ((mean - mean_2) * (-log_2).exp()).square()
        return (0.5 * (ratio + distance - 1) + log_2 - log_deviation).sum(-1)

    def draw(self, outputs: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
        mean, log_deviation = self._shape_of(outputs)
        normal = torch.special.ndtri(uniform.clamp(1e-7, 1 - 1e-7)).to(mean.dtype)
        return mean + log_deviation.exp() * normal

    def best(self, outputs: torch.Tensor) -> torch.Tensor:
        return outputs[..., : self.size]

    def for_env(self, actions: torch.Tensor) -> torch.Tensor:
        squashed = torch.where(self.bounded, actions.tanh(), actions)
        return self.middle + self.reach * squashed

    def _shape_of(self, outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mean, log_deviation = outputs.chunk(2, -1)
        return mean, log_deviation.clamp(*LOG_DEVIATIONS)

    def _shrinking(self, mean: torch.Tensor, log_deviation: torch.Tensor) -> torch.Tensor:
        """The mean logarithm of tanh's slope, 2 (log 2 - x - softplus(-2 x))."""
        x = mean.unsqueeze(-1) + log_deviation.exp().unsqueeze(-1) * self.nodes
        slopes = 2 * (math.log(2) - x - nn.functional.softplus(-2 * x))
        return (slopes * self.node_weights).sum(-1)


def actions_of(space: gym.Space[Any]) -> Actions:
    """The distribution over the actions of `space`."""
    if isinstance(space, gym.spaces.Discrete):
        return Categorical(int(space.n))
    if isinstance(space, gym.spaces.MultiDiscrete):
        return Categoricals(tuple(int(count) for count in space.nvec))
    assert isinstance(space, gym.spaces.Box), space
    return Gaussian(space.low, space.high)
