"""Where each agent's numbers are in a row of the replay buffer and in a critic's input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch.nn.functional import one_hot


class Batch(NamedTuple):
    """`B` transitions of `A` agents."""

    observations: torch.Tensor  # [B, sum of observation sizes]
    actions: torch.Tensor  # [B, sum of action widths], one-hot if discrete
    rewards: torch.Tensor  # [A, B], summed over n steps
    discounts: torch.Tensor  # [B], gamma^n, 0 where the episode terminated
    next_observations: torch.Tensor  # as observations, n steps later


@dataclass(frozen=True)
class Layout:
    """Sizes of `A` agents, in the environment's order."""

    observation_sizes: tuple[int, ...]
    action_widths: tuple[int, ...]  # choices of a discrete action, size of a continuous one
    discrete: bool

    @property
    def agents(self) -> int:
        return len(self.observation_sizes)

    @property
    def observation_width(self) -> int:
        return sum(self.observation_sizes)

    @property
    def stored_action_width(self) -> int:
        return self.agents if self.discrete else sum(self.action_widths)

    @property
    def row_width(self) -> int:
        return 2 * self.observation_width + self.stored_action_width + self.agents + 1

    @property
    def joint_width(self) -> int:
        """Input width of a critic that sees all agents."""
        return self.observation_width + sum(self.action_widths)

    def critic_width(self, agent: int, local: bool) -> int:
        if local:
            return self.observation_sizes[agent] + self.action_widths[agent]
        return self.joint_width

    def batch(self, rows: torch.Tensor) -> Batch:
        """Rows `[B, row_width]` of the replay buffer, split into their parts."""
        parts = rows.split(
            [
                self.observation_width,
                self.stored_action_width,
                self.agents,
                1,
                self.observation_width,
            ],
            dim=1,
        )
        observations, actions, rewards, discounts, following = parts
        if self.discrete:
            columns = actions.long().unbind(1)
            hot = [one_hot(c, w) for c, w in zip(columns, self.action_widths, strict=True)]
            actions = torch.cat(hot, dim=1).float()
        return Batch(observations, actions, rewards.t(), discounts.squeeze(1), following)

    def split(self, observations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """`[B, observation_width]` -> per agent `[B, its size]`."""
        return observations.split(self.observation_sizes, dim=1)

    def action_columns(self, agent: int) -> slice:
        """Columns of an agent's action in `[B, sum of action widths]`."""
        start = sum(self.action_widths[:agent])
        return slice(start, start + self.action_widths[agent])

    def critic_columns(
        self, agent: int, *, local: bool = False, kind: Sequence[int] = ()
    ) -> list[int]:
        """Columns of (all observations, all actions) that an agent's critic sees, in its order.

        Lowe et al. 2017, section 4.1: Q_i(x, a_1, ..., a_N) with x = (o_1, ..., o_N). `kind`:
        the agents that share one critic, including this one. It sees the agent that it values,
        then the others of its kind (first those after it, then those before it), then all other
        agents, whose places are thus the same for all of the kind. `local`: (o_i, a_i) only, as
        in DDPG.
        """
        place = kind.index(agent) if kind else 0
        others = [other for other in range(self.agents) if other not in kind]
        order = [agent] if local else [*kind[place:], *kind[:place], *others]
        columns: list[int] = []
        for other in order:
            start = sum(self.observation_sizes[:other])
            columns += range(start, start + self.observation_sizes[other])
        for other in order:
            part = self.action_columns(other)
            columns += range(
                self.observation_width + part.start, self.observation_width + part.stop
            )
        return columns
