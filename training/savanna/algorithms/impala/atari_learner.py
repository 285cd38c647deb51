"""The learner for Atari games: single frames are standardized once, and stacked by the learner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from savanna.algorithms.impala.batch import TrainBatch
from savanna.algorithms.impala.learner import ImpalaLearner


class AtariLearner(ImpalaLearner):
    """Learns from `Fragment`s."""

    def _joined(self, fragments: Sequence[Any]) -> TrainBatch:
        batch = TrainBatch.from_fragments(fragments, self.device)
        self._network.standardizer.update(batch.frames[:-1])
        return batch

    def _observations(self, batch: TrainBatch) -> torch.Tensor:
        """Standardized stacks `[(T + 1) * N, S, height, width]`, channels last.

        Built once per update, so that every pass only copies whole rows out of it.
        """
        frames = self._network.standardize(batch.frames)
        indices = batch.stacks.flatten(0, 1)
        count, stack = indices.shape
        height, width = frames.shape[1:]
        observations = torch.empty(
            (count, height, width, stack), dtype=frames.dtype, device=frames.device
        ).permute(0, 3, 1, 2)
        for start in range(0, count, 256):
            chosen = frames.index_select(0, indices[start : start + 256].flatten())
            observations[start : start + 256] = chosen.unflatten(0, (-1, stack))
        return observations

    def _see_returns(self, returns: torch.Tensor) -> None:
        """Rewards are clipped: values need no scale."""
