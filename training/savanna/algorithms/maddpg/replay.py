"""Replay buffer: one preallocated array, oldest rows overwritten."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray


class Replay:
    """Transitions of all agents, one row each, drawn uniformly with replacement.

    A row holds, side by side: observations of all agents, their actions (an index, or the vector
    of a continuous one), rewards, discount, observations after it. `Layout` knows where each
    begins. Memory is taken only as rows come in: pages of a fresh array cost nothing.
    """

    def __init__(self, capacity: int, width: int, seed: int | None = None) -> None:
        self.rows = np.empty((capacity, width), np.float32)
        self._tensor = torch.from_numpy(self.rows)
        self._random = np.random.default_rng(seed)
        self._next = 0
        self.added = 0  # rows, in total

    @property
    def capacity(self) -> int:
        return len(self.rows)

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    def add(self, rows: NDArray[np.float32]) -> None:
        """Append rows `[K, width]`, wrapping around at the end."""
        rows = rows[-self.capacity :]
        first = min(len(rows), self.capacity - self._next)
        self.rows[self._next : self._next + first] = rows[:first]
        self.rows[: len(rows) - first] = rows[first:]
        self._next = (self._next + len(rows)) % self.capacity
        self.added += len(rows)

    def sample(self, count: int) -> torch.Tensor:
        """`[count, width]`."""
        index = torch.from_numpy(self._random.integers(0, len(self), count))
        return self._tensor.index_select(0, index)
