"""Many small networks of the same shape, run as one."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import pairwise

import torch
from torch import nn


def mlp(inputs: int, hidden: Sequence[int], outputs: int, last_scale: float = 1.0) -> nn.Sequential:
    """Linear layers with ReLU in between; `last_scale` shrinks the last one's first weights."""
    layers: list[nn.Module] = []
    for size, following in pairwise((inputs, *hidden)):
        layers += [nn.Linear(size, following), nn.ReLU()]
    last = nn.Linear((inputs, *hidden)[-1], outputs)
    with torch.no_grad():
        last.weight.mul_(last_scale)
        last.bias.mul_(last_scale)
    return nn.Sequential(*layers, last)


class Stack:
    """`M` networks from `mlp` of one shape, as batched matrix products.

    `parameters` are `[M, ...]`, two per layer (weight, bias). The networks' own parameters become
    views of them: training the stack trains the networks, and loading weights into the networks
    loads the stack. Moving a network to another device afterwards breaks that.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        self.parameters: list[nn.Parameter] = []
        for layers in zip(*networks, strict=True):
            if isinstance(layers[0], nn.Linear):
                self._adopt([layer.weight for layer in layers])
                self._adopt([layer.bias for layer in layers])
        self.size = len(networks)

    def _adopt(self, parameters: Sequence[nn.Parameter]) -> None:
        stacked = nn.Parameter(torch.stack([p.detach() for p in parameters]))
        for index, parameter in enumerate(parameters):
            parameter.data = stacked.data[index]
        self.parameters.append(stacked)

    def __call__(self, inputs: torch.Tensor, *, frozen: bool = False) -> torch.Tensor:
        """`[M, B, inputs]` -> `[M, B, outputs]`.

        `frozen`: gradients flow to the inputs, not to the parameters.
        """
        hidden = inputs
        last = len(self.parameters) // 2 - 1
        for layer in range(last + 1):
            weight, bias = self.parameters[2 * layer], self.parameters[2 * layer + 1]
            if frozen:
                weight, bias = weight.detach(), bias.detach()  # type: ignore[assignment]
            hidden = torch.baddbmm(bias.unsqueeze(1), hidden, weight.transpose(1, 2))
            if layer < last:
                hidden = hidden.relu_()
        return hidden

    def follow(self, other: Stack, tau: float) -> None:
        """Polyak averaging: mine <- (1 - tau) mine + tau other's (Lillicrap et al. 2016)."""
        with torch.no_grad():
            mine = [p.data for p in self.parameters]
            torch._foreach_lerp_(mine, [p.data for p in other.parameters], tau)


class Ensemble:
    """One network per agent (the same one for agents that share it), run together.

    Networks of the same shape that are shared by equally many agents form one `Stack`.
    """

    def __init__(self, networks: Sequence[nn.Sequential]) -> None:
        places: dict[Hashable, dict[nn.Sequential, list[int]]] = {}
        for agent, network in enumerate(networks):
            shapes = tuple(p.shape for p in network.parameters())
            users = sum(other is network for other in networks)
            places.setdefault((shapes, users), {}).setdefault(network, []).append(agent)
        self._groups = [
            ([agent for agents in members.values() for agent in agents], Stack(list(members)))
            for members in places.values()
        ]

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for _, stack in self._groups for p in stack.parameters]

    @property
    def stacks(self) -> list[Stack]:
        return [stack for _, stack in self._groups]

    def __call__(
        self, inputs: Sequence[torch.Tensor], *, frozen: bool = False
    ) -> list[torch.Tensor]:
        """Per agent `[B, inputs]` -> per agent `[B, outputs]`."""
        found = list(inputs)
        for agents, stack in self._groups:
            seen = torch.stack([inputs[agent] for agent in agents])
            shared = seen.reshape(stack.size, -1, seen.shape[2])
            output = stack(shared, frozen=frozen).reshape(*seen.shape[:2], -1)
            for place, agent in enumerate(agents):
                found[agent] = output[place]
        return found

    def follow(self, other: Ensemble, tau: float) -> None:
        """`Stack.follow`, for all."""
        for mine, its in zip(self.stacks, other.stacks, strict=True):
            mine.follow(its, tau)
