"""A train batch: fragments side by side on the learner's device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from savanna.algorithms.impala.fragment import Fragment, GymFragment, Steps, stack_indices


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`T` steps of `N` sequences."""

    actions: torch.Tensor  # int64 [T, N], or int64 or float32 [T, N, size]
    log_probs: torch.Tensor  # float32 [T, N]
    rewards: torch.Tensor  # float32 [T, N]
    terminated: torch.Tensor  # bool [T, N]
    truncated: torch.Tensor  # bool [T, N]
    valid: torch.Tensor  # bool [T, N]

    @property
    def steps(self) -> int:
        """Agent steps to learn from."""
        return int(self.valid.sum())


@dataclass(frozen=True, kw_only=True)
class GymBatch(Batch):
    observations: dict[str, torch.Tensor]  # [T + 1, N, ...]
    state: torch.Tensor | None  # [N, ...]

    @property
    def starts(self) -> torch.Tensor:
        """Which observations are the first of their episodes, `[T + 1, N]`; those of the first row
        do not count: `state` knows."""
        return torch.cat([torch.zeros_like(self.valid[:1]), ~self.valid])

    @classmethod
    def from_fragments(cls, fragments: Sequence[GymFragment], device: torch.device) -> GymBatch:
        """Join fragments along their environments.

        Where one was cut short it is filled up with rows that are not learned from, and its last
        step counts as truncated: at the end of a fragment, too, the value of the next observation
        stands for what is not known.
        """
        steps = max(len(f.actions) for f in fragments)

        def join(arrays: Sequence[NDArray[Any]], rows: int) -> torch.Tensor:
            filled = [_filled_up(array, rows) for array in arrays]
            return torch.from_numpy(np.concatenate(filled, axis=1)).to(device)

        cut = [_ended(f) if len(f.actions) < steps else f.truncated for f in fragments]
        columns = {name: join([getattr(f, name) for f in fragments], steps) for name in _COLUMNS}
        names = fragments[0].observations
        observations = {n: join([f.observations[n] for f in fragments], steps + 1) for n in names}
        states = [torch.from_numpy(f.state) for f in fragments if f.state is not None]
        return cls(
            **columns | {"truncated": join(cut, steps)},
            observations=observations,
            state=torch.cat(states).to(device) if states else None,
        )


_COLUMNS = ("actions", "log_probs", "rewards", "terminated", "truncated", "valid")


def _filled_up(array: NDArray[Any], rows: int) -> NDArray[Any]:
    missing = np.zeros((rows - len(array), *array.shape[1:]), array.dtype)
    return np.concatenate([array, missing]) if len(missing) else array


def _ended(fragment: Steps) -> NDArray[np.bool_]:
    truncated = fragment.truncated.copy()
    truncated[-1] |= ~fragment.terminated[-1]
    return truncated


@dataclass(frozen=True, kw_only=True)
class TrainBatch(Batch):
    """`frames` holds every frame once; `stacks` says which to stack."""

    frames: torch.Tensor  # uint8 [F + 1, height, width], the last one blank
    stacks: torch.Tensor  # int64 [T + 1, N, S], rows of `frames`

    @classmethod
    def from_fragments(cls, fragments: Sequence[Fragment], device: torch.device) -> TrainBatch:
        """Join fragments of equal length along their environments."""
        stack = len(fragments[0].frames) - len(fragments[0].actions)
        rows = [f.frames.reshape(-1, *f.frames.shape[2:]) for f in fragments]
        total = sum(len(r) for r in rows)
        frames = np.empty((total + 1, *rows[0].shape[1:]), np.uint8)
        frames[-1] = 0
        indices: list[NDArray[np.int64]] = []
        offset = 0
        for fragment, row in zip(fragments, rows, strict=True):
            frames[offset : offset + len(row)] = row
            index = stack_indices(fragment.ages, stack, blank=total - offset)
            indices.append(index + offset)
            offset += len(row)

        def join(name: str) -> torch.Tensor:
            joined = np.concatenate([getattr(f, name) for f in fragments], axis=1)
            return torch.from_numpy(joined).to(device)

        return cls(
            frames=torch.from_numpy(frames).to(device),
            stacks=torch.from_numpy(np.concatenate(indices, axis=1)).to(device),
            **{name: join(name) for name in _COLUMNS},
        )
