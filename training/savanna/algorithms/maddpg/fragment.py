"""What an env runner sends to the learner: rows for the replay buffer, and finished episodes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from savanna.algorithms.episode import Episode


@dataclass(frozen=True)
class Fragment:
    """`steps` steps of every world."""

    rows: NDArray[np.float32]  # [steps x worlds, Layout.row_width]
    episodes: list[Episode]  # those that ended in this fragment
    weights_version: int  # the learner's update count when the weights were made
    node: str = ""  # IP address of the machine that sampled it

    def __len__(self) -> int:
        """World steps in this fragment; each is one step of every agent."""
        return len(self.rows)


def make_rows(
    observations: NDArray[np.float32],
    actions: NDArray[np.float32],
    rewards: NDArray[np.float32],
    truncated: NDArray[np.bool_],
    following: NDArray[np.float32],
    *,
    gamma: float,
    n_step: int = 1,
) -> NDArray[np.float32]:
    """Rows for the replay buffer, `[T x N, ...]`, of `T` steps of `N` worlds.

    Each row looks `n_step` steps ahead: the sum of discounted rewards, gamma to the power of the
    steps, the observation then. It looks less far if the episode or the fragment ends earlier.
    Truncation is not termination: the values of the final observation still count.

    Args:
        observations: `[T, N, O]`, all agents side by side.
        actions: `[T, N, a]`.
        rewards: `[T, N, A]`.
        truncated: `[T, N]`.
        following: `[T, N, O]`, the true next observation, the final one if truncated.
        gamma: discount factor.
        n_step: steps to look ahead.
    """
    total, last = rewards.astype(np.float32), following.copy()
    discounts = np.full(truncated.shape, gamma, np.float32)
    going = ~truncated  # the episode continues after the steps summed so far
    for ahead in range(1, min(n_step, len(rewards))):
        alive = going[:-ahead]
        total[:-ahead] += gamma**ahead * rewards[ahead:] * alive[..., None]
        last[:-ahead] = np.where(alive[..., None], following[ahead:], last[:-ahead])
        discounts[:-ahead] = np.where(alive, gamma ** (ahead + 1), discounts[:-ahead])
        alive &= ~truncated[ahead:]
    rows = np.concatenate([observations, actions, total, discounts[..., None], last], axis=2)
    return rows.reshape(-1, rows.shape[2]).astype(np.float32, copy=False)
