"""What an env runner sends to the learner: contiguous arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from savanna.algorithms.episode import Episode


@dataclass(frozen=True, kw_only=True)
class Steps:
    """`T` steps of `N` environments.

    Autoreset is NEXT_STEP: after an episode ends, the environment spends one row on resetting. In
    that row the action was ignored and `valid` is False; its observation is the final one of the
    old episode.
    """

    actions: NDArray[np.int64] | NDArray[np.float32]  # [T, N], or [T, N, size]
    log_probs: NDArray[np.float32]  # [T, N], of the action, under the policy that acted
    rewards: NDArray[np.float32]  # [T, N], true rewards
    terminated: NDArray[np.bool_]  # [T, N]
    truncated: NDArray[np.bool_]  # [T, N]
    valid: NDArray[np.bool_]  # [T, N]
    weights_version: int  # the learner's update count when the weights were made
    episodes: list[Episode]  # those that ended in this fragment
    node: str = ""  # IP address of the machine that sampled it

    def __len__(self) -> int:
        """Agent steps in this fragment; resetting rows do not count."""
        return int(self.valid.sum())


@dataclass(frozen=True, kw_only=True)
class GymFragment(Steps):
    """With the observations that networks see, of which some have several parts."""

    observations: dict[str, NDArray[np.uint8] | NDArray[np.float32]]  # [T + 1, N, ...] each
    state: NDArray[np.float32] | None = None  # [N, ...], of the network's memory at the start


@dataclass(frozen=True, kw_only=True)
class Fragment(Steps):
    """With single frames, and the `S`-frame stacks left to the learner to rebuild: a quarter of the
    bytes of sending stacks."""

    frames: NDArray[np.uint8]  # [S - 1 + T + 1, N, height, width], the first S - 1 are history
    ages: NDArray[np.uint8]  # [T + 1, N], observations since the reset, at most S - 1


def stack_indices(ages: NDArray[np.uint8], stack: int, blank: int) -> NDArray[np.int64]:
    """Where the frames of every stack are, oldest first: `[T + 1, N, S]`.

    Rows count frames of `fragment.frames.reshape(-1, height, width)`. Positions from before the
    reset point at row `blank`, which the caller fills with zeros, as ale-py does on reset.
    """
    rows, envs = ages.shape
    back = np.arange(stack - 1, -1, -1)  # S - 1 frames ago ... this one
    time = np.arange(rows)[:, None, None] + (stack - 1) - back
    index = time * envs + np.arange(envs)[None, :, None]
    return np.where(back <= ages[:, :, None], index, blank).astype(np.int64)
