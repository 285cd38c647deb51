"""The learner for networks with memory: it learns from whole sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from savanna.algorithms.impala.batch import Batch, GymBatch
from savanna.algorithms.impala.learner import ImpalaLearner
from savanna.algorithms.impala.loss import Samples
from savanna.modules.parts import each_part


class Sequences(NamedTuple):
    """Observations of a batch, and what the memory needs to go through them."""

    observations: Any  # [T + 1, N, ...]
    state: torch.Tensor  # [N, ...]
    starts: torch.Tensor  # bool [T + 1, N]


class RecurrentLearner(ImpalaLearner):
    """The memory starts every fragment as it was when the env runner did (Espeholt et al. 2018),
    and is unrolled from there in every pass."""

    def _observations(self, batch: GymBatch) -> Sequences:
        parts = batch.observations
        assert batch.state is not None
        return Sequences(parts.get("", parts), batch.state, batch.starts)

    def _samples(self, batch: Batch, observations: Any) -> tuple[Samples, dict[str, float]]:
        samples, outlook = super()._samples(batch, observations)
        self._columns = samples.rows % batch.valid.shape[1]
        return samples, outlook

    def _everything(self, observations: Sequences, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        found: tuple[torch.Tensor, torch.Tensor] = self._network.unroll(*observations)
        return found

    def _these(
        self, observations: Sequences, rows: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        envs = len(observations.state)
        columns, places = (rows % envs).unique(return_inverse=True)
        outputs, values = self._network.unroll(
            each_part(lambda part: part[:-1, columns], observations.observations),
            observations.state[columns],
            observations.starts[:-1, columns],
        )
        return outputs[rows // envs, places], values[rows // envs, places]

    def _minibatches(self, count: int) -> Sequence[torch.Tensor]:
        """Every sequence once, in a new order; about as many samples as in other minibatches."""
        columns = self._columns.unique()
        order = torch.randperm(len(columns), generator=self._shuffler).to(self.device)
        parts = max(1, min(len(columns), round(count / (self.config.minibatch_size or count))))
        return [
            torch.isin(self._columns, columns[some]).nonzero().squeeze(-1)
            for some in order.tensor_split(parts)
        ]

    @property
    def _micro_batch_size(self) -> int:
        return 2**31  # never splits a sequence
