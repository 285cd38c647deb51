"""Parts of networks for any spaces."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import torch
from torch import nn

from savanna.envs.observing import VECTOR
from savanna.modules.atari import orthogonal

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU}
CONVOLUTIONS = (
    # shortest side, ((channels, kernel, stride), ...)
    (60, ((32, 8, 4), (64, 4, 2), (64, 3, 1))),  # Mnih et al. 2015
    (32, ((32, 5, 3), (32, 4, 2), (32, 3, 1))),
    (0, ((32, 3, 2), (32, 3, 1))),
)
LARGEST = 12
"""Pixels of the longer side after the convolutions; more are halved by further ones."""


def each_part(change: Callable[[torch.Tensor], torch.Tensor], observations: Any) -> Any:
    if isinstance(observations, Mapping):
        return {name: change(part) for name, part in observations.items()}
    return change(observations)


class Memory(nn.Module):
    """An LSTM (Hochreiter and Schmidhuber 1997) over `[T, N, units]`."""

    def __init__(self, units: int, cells: int) -> None:
        super().__init__()
        self.cells, self.cell = cells, nn.LSTMCell(units, cells)

    def forward(
        self, inputs: torch.Tensor, state: torch.Tensor, starts: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What it gives at every step `[T, N, cells]`, and its state after the last."""
        hidden, cell = state.chunk(2, -1)
        given = []
        for step, now in enumerate(inputs.unbind(0)):
            if starts is not None:
                kept = (~starts[step]).to(hidden.dtype).unsqueeze(-1)
                hidden, cell = hidden * kept, cell * kept
            hidden, cell = self.cell(now, (hidden, cell))
            given.append(hidden)
        return torch.stack(given), torch.cat([hidden, cell], -1)


class ReturnScale(nn.Module):
    """Lets a network learn values of any size: it gives their distance from the mean return, in
    standard deviations (PopArt: van Hasselt et al. 2016, "Learning values across many orders of
    magnitude")."""

    mean: torch.Tensor
    variance: torch.Tensor
    updates: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        # [1] and float32: RLlib saves scalars as Python's numbers, and float64 is read as float32.
        self.register_buffer("mean", torch.zeros(1))
        self.register_buffer("variance", torch.ones(1))
        self.register_buffer("updates", torch.zeros(1))

    @property
    def deviation(self) -> torch.Tensor:
        return self.variance.clamp(min=1e-4).sqrt()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values * self.deviation + self.mean

    @torch.no_grad()
    def update(self, returns: torch.Tensor, head: nn.Linear) -> None:
        """Take in `returns`, and change the weights of `head` so that values stay what they are."""
        before, mean = self.deviation, self.mean.clone()
        self.updates += 1
        share = (1 / self.updates).clamp(min=0.05)
        shift = returns.mean() - self.mean
        self.variance += share * (returns.var(correction=0) - self.variance)
        self.variance += share * (1 - share) * shift.square()
        self.mean += share * shift
        head.weight *= before / self.deviation
        head.bias.copy_((head.bias * before + mean - self.mean) / self.deviation)


class Encoder(nn.Module):
    """Observations `[B, ...]` -> `[B, units]`."""

    def __init__(self, parts: Mapping[str, gym.Space[Any]], settings: Mapping[str, Any]) -> None:
        super().__init__()
        pictures = {name: part for name, part in parts.items() if len(part.shape or ()) == 3}
        self.names = list(pictures)
        self.eyes = nn.ModuleList(Eye(p, settings["picture_units"]) for p in pictures.values())
        self.vector = next((name for name in (VECTOR, "") if name in parts.keys() - pictures), None)
        inputs = settings["picture_units"] * len(pictures)
        if self.vector is not None:
            [size] = parts[self.vector].shape or ()
            inputs += size
        layers: list[nn.Module] = []
        for units in settings["fcnet_hiddens"]:
            layers += [
                orthogonal(nn.Linear(inputs, units), 2**0.5),
                ACTIVATIONS[settings["fcnet_activation"]](),
            ]
            inputs = units
        self.dense = nn.Sequential(*layers)
        self.units = inputs

    def forward(self, observations: Any) -> torch.Tensor:
        parts = observations if isinstance(observations, Mapping) else {"": observations}
        seen = [eye(parts[name]) for name, eye in zip(self.names, self.eyes, strict=True)]
        if self.vector is not None:
            seen.append(parts[self.vector].float())
        hidden: torch.Tensor = self.dense(seen[0] if len(seen) == 1 else torch.cat(seen, -1))
        return hidden


class Eye(nn.Module):
    """A picture `[B, channels, height, width]` within the bounds of its space -> `[B, units]`."""

    def __init__(self, space: gym.Space[Any], units: int) -> None:
        super().__init__()
        assert isinstance(space, gym.spaces.Box)
        channels, *sides = space.shape
        self.low, high = float(space.low.min()), float(space.high.max())
        self.span = high - self.low
        filters = list(next(f for shortest, f in CONVOLUTIONS if min(sides) >= shortest))
        layers: list[nn.Module] = []
        while filters or max(sides) > LARGEST:
            out, kernel, stride = filters.pop(0) if filters else (64, 3, 2)
            kernels = (min(kernel, sides[0]), min(kernel, sides[1]))
            layers += [orthogonal(nn.Conv2d(channels, out, kernels, stride), 2**0.5), nn.ReLU()]
            channels = out
            sides = [(s - k) // stride + 1 for s, k in zip(sides, kernels, strict=True)]
        flat = channels * sides[0] * sides[1]
        layers += [nn.Flatten(), orthogonal(nn.Linear(flat, units), 2**0.5), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, picture: torch.Tensor) -> torch.Tensor:
        features: torch.Tensor = self.layers((picture.float() - self.low) / self.span)
        return features
