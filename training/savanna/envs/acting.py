"""Any action as networks give it: `Discrete` from 0, `MultiDiscrete` from 0 and a `Box` with one
axis."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

SUPPORTED = (spaces.Discrete, spaces.MultiDiscrete, spaces.MultiBinary, spaces.Box)


class Acting:
    """Turns actions of `self.space` into those of `space`, the environment's own."""

    def __init__(self, space: spaces.Space[Any]) -> None:
        self.own = space
        self.space: spaces.Space[Any] = _simplified(space)

    @property
    def choices(self) -> int:
        """How many numbers a mask of legal actions has; 0: there is none."""
        if isinstance(self.space, spaces.Discrete):
            return int(self.space.n)
        return int(self.space.nvec.sum()) if isinstance(self.space, spaces.MultiDiscrete) else 0

    @property
    def changes(self) -> bool:
        """Whether actions are not taken as they are."""
        return self.space != self.own or isinstance(self.own, spaces.Box)

    def __call__(self, action: NDArray[Any]) -> Any:
        own = self.own
        if isinstance(own, spaces.Discrete):
            return np.int64(int(own.start) + int(action))
        if isinstance(own, spaces.MultiDiscrete):
            return (np.asarray(action).reshape(own.shape) + own.start).astype(own.dtype)
        shaped = np.asarray(action).reshape(own.shape)
        if isinstance(own, spaces.Box):
            if np.issubdtype(own.dtype, np.integer):
                shaped = shaped.round()
            shaped = shaped.clip(own.low, own.high)  # float32 may round beyond
        return shaped.astype(own.dtype)


def _simplified(space: spaces.Space[Any]) -> spaces.Space[Any]:
    if isinstance(space, spaces.Discrete):
        return spaces.Discrete(int(space.n))
    if isinstance(space, spaces.MultiDiscrete):
        return spaces.MultiDiscrete(space.nvec.reshape(-1))
    if isinstance(space, spaces.MultiBinary):
        return spaces.MultiDiscrete(np.full(int(np.prod(space.shape)), 2))
    assert isinstance(space, spaces.Box)
    with np.errstate(over="ignore"):  # beyond float32 is unbounded
        low, high = (b.reshape(-1).astype(np.float32) for b in (space.low, space.high))
    return spaces.Box(low, high, dtype=np.float32)
