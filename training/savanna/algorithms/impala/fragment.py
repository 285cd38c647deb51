"""What an env runner sends to the learner: contiguous arrays, single frames."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from savanna.algorithms.episode import Episode


@dataclass(frozen=True)
class Fragment:
    """`T` steps of `N` environments, with `S`-frame stacks left to the learner to rebuild.

    Sending single frames takes a quarter of the bytes of sending stacks. Autoreset is NEXT_STEP:
    after an episode ends, the environment spends one row on resetting. In that row the action
    was ignored and `valid` is False; its observation is the final one of the old episode.
    """

    frames: NDArray[np.uint8]  # [S - 1 + T + 1, N, height, width], the first S - 1 are history
    ages: NDArray[np.uint8]  # [T + 1, N], observations since the reset, at most S - 1
    actions: NDArray[np.int64]  # [T, N]
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
