"""A train batch: fragments side by side on the learner's device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from savanna.algorithms.impala.fragment import Fragment, stack_indices


@dataclass(frozen=True)
class TrainBatch:
    """`T` steps of `N` sequences. `frames` holds every frame once; `stacks` says which to stack."""

    frames: torch.Tensor  # uint8 [F + 1, height, width], the last one blank
    stacks: torch.Tensor  # int64 [T + 1, N, S], rows of `frames`
    actions: torch.Tensor  # int64 [T, N]
    log_probs: torch.Tensor  # float32 [T, N]
    rewards: torch.Tensor  # float32 [T, N]
    terminated: torch.Tensor  # bool [T, N]
    truncated: torch.Tensor  # bool [T, N]
    valid: torch.Tensor  # bool [T, N]

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
            actions=join("actions"),
            log_probs=join("log_probs"),
            rewards=join("rewards"),
            terminated=join("terminated"),
            truncated=join("truncated"),
            valid=join("valid"),
        )

    @property
    def steps(self) -> int:
        """Agent steps to learn from."""
        return int(self.valid.sum())
