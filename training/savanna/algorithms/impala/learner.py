"""The learner: V-trace targets once per batch, then one or more passes in minibatches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from ray.rllib.core import ALL_MODULES, DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import (
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_ENV_STEPS_TRAINED,
    NUM_ENV_STEPS_TRAINED_LIFETIME,
)
from ray.rllib.utils.schedules.scheduler import Scheduler

from savanna.algorithms.impala.batch import Batch, GymBatch
from savanna.algorithms.impala.loss import STATISTICS, Samples, impala_loss
from savanna.algorithms.impala.vtrace import vtrace
from savanna.modules.actions import actions_of


class ImpalaLearner(TorchLearner):
    """Learns from `GymFragment`s; runs in the driver's process (`num_learners=0`)."""

    def build(self) -> None:
        super().build()
        self._entropy_coeff = Scheduler(
            fixed_value_or_schedule=self.config.entropy_coeff, framework="torch", device="cpu"
        )
        self.learned: dict[str, float] = {}  # metrics of the last update
        self._value_weight = 1.0  # of the squared errors of values, which may be of any size
        self._shuffler = torch.Generator().manual_seed(self.config.seed or 0)
        self._actions = actions_of(self._network.action_space).to(self.device)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        parameters = self.get_parameters(self._module[module_id])
        self.register_optimizer(
            module_id=module_id,
            optimizer=torch.optim.Adam(parameters, eps=config.adam_epsilon, fused=True),
            params=parameters,
            lr_or_lr_schedule=config.lr,
        )

    @property
    def _network(self) -> Any:
        return self.module[DEFAULT_MODULE_ID].unwrapped()

    def update(
        self, *, training_data: TrainingData, timesteps: dict[str, Any], **kwargs: Any
    ) -> Any:
        """Train on the fragments in `training_data.episodes`; RLlib's reduced metrics."""
        self.before_gradient_based_update(timesteps=timesteps)
        fragments = training_data.episodes
        batch = self._joined(fragments)
        versions = [f.weights_version for f in fragments if f.weights_version > 0]
        lag = self._weights_seq_no - sum(versions) / len(versions) if versions else 0.0
        self._weights_seq_no += 1

        observations = self._observations(batch)
        samples, outlook = self._samples(batch, observations)
        entropy_coeff = float(
            self._entropy_coeff.update(timestep=timesteps[NUM_ENV_STEPS_SAMPLED_LIFETIME])
        )
        totals = torch.zeros(len(STATISTICS), device=self.device)
        norms = []
        for _ in range(self.config.num_epochs):
            for minibatch in self._minibatches(len(samples)):
                norms.append(self._step(samples, observations, minibatch, entropy_coeff, totals))

        seen = len(samples) * self.config.num_epochs
        statistics = dict(zip(STATISTICS, (totals / seen).tolist(), strict=True)) | outlook
        statistics["gradients_default_optimizer_global_norm"] = float(torch.stack(norms).mean())
        statistics["policy_lag"] = lag
        statistics["entropy_coeff"] = entropy_coeff
        self.learned = statistics
        for name, value in statistics.items():
            self.metrics.log_value((DEFAULT_MODULE_ID, name), value, window=1)
        self._log_steps(len(samples))
        self.after_gradient_based_update(timesteps=timesteps)
        return self.metrics.reduce()

    def _joined(self, fragments: Sequence[Any]) -> Any:
        return GymBatch.from_fragments(fragments, self.device)

    def _observations(self, batch: Any) -> Any:
        """`[(T + 1) * N, ...]`: an array, or a dictionary of the parts of observations."""
        parts = {name: part.flatten(0, 1) for name, part in batch.observations.items()}
        return parts.get("", parts)

    def _samples(self, batch: Batch, observations: Any) -> tuple[Samples, dict[str, float]]:
        """What to learn from every sample, under the policy at the start of the update."""
        config = self.config
        with torch.inference_mode():
            outputs, values = self._everything(observations, len(batch.rewards) + 1)
        values = values.clone()
        log_probs = self._actions.log_prob(outputs[:-1], batch.actions).clone()
        log_ratios = log_probs - batch.log_probs
        result = vtrace(
            log_ratios=log_ratios,
            rewards=batch.rewards.sign() if config.clip_rewards else batch.rewards,
            values=values,
            terminated=batch.terminated,
            truncated=batch.truncated,
            gamma=config.gamma,
            lambda_=config.lambda_,
            clip_rho=config.vtrace_clip_rho_threshold,
            clip_c=config.vtrace_clip_c_threshold,
        )
        valid = batch.valid
        targets, advantages = result.targets[valid], result.advantages[valid]
        errors = (targets - values[:-1][valid]).var() / (targets.var() + 1e-8)
        self._see_returns(targets)
        if config.normalize_advantages:
            advantages = (advantages - advantages.mean()) / (advantages.std() + 1e-8)
        return Samples(
            rows=valid.flatten().nonzero().squeeze(-1),
            actions=batch.actions[valid],
            log_probs=log_probs[valid],
            weights=log_ratios[valid].exp().clamp(max=config.vtrace_clip_rho_threshold),
            targets=targets,
            advantages=advantages,
        ), {"vf_explained_var": float(1 - errors), "mean_kl_loss": float(-log_ratios[valid].mean())}

    def _see_returns(self, returns: torch.Tensor) -> None:
        self._network.see_returns(returns)
        self._value_weight = float(self._network.returns.deviation) ** -2

    def _everything(self, observations: Any, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The network's outputs `[rows, N, outputs]` and values `[rows, N]`."""
        parts = split_rows(observations, self._micro_batch_size)
        outputs, values = zip(*map(self._network.logits_and_values, parts), strict=True)
        return torch.cat(outputs).unflatten(0, (rows, -1)), torch.cat(values).view(rows, -1)

    def _these(self, observations: Any, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Those of `rows`, `[B, outputs]` and `[B]`."""
        found: tuple[torch.Tensor, torch.Tensor] = self._network.logits_and_values(
            select_rows(observations, rows)
        )
        return found

    def _minibatches(self, count: int) -> Sequence[torch.Tensor]:
        """Indices of the minibatches of one pass: every sample once, in a new order."""
        order = torch.randperm(count, generator=self._shuffler).to(self.device)
        return order.tensor_split(max(1, round(count / (self.config.minibatch_size or count))))

    def _step(
        self,
        samples: Samples,
        observations: Any,
        minibatch: torch.Tensor,
        entropy_coeff: float,
        totals: torch.Tensor,
    ) -> torch.Tensor:
        """One optimiser step on a minibatch; the gradient's norm before clipping."""
        config = self.config
        optimizer = self.get_optimizer(DEFAULT_MODULE_ID)
        optimizer.zero_grad(set_to_none=True)
        for micro_batch in minibatch.split(self._micro_batch_size):
            chosen = samples.select(micro_batch)
            outputs, values = self._these(observations, chosen.rows)
            loss, statistics = impala_loss(
                chosen,
                outputs,
                values,
                actions=self._actions,
                clip=config.clip_param,
                vf_loss_coeff=config.vf_loss_coeff * self._value_weight,
                entropy_coeff=entropy_coeff,
            )
            (loss / len(minibatch)).backward()
            totals += statistics
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        limit = float("inf") if config.grad_clip is None else config.grad_clip
        norm = torch.nn.utils.clip_grad_norm_(parameters, limit)
        if torch.isfinite(norm):
            optimizer.step()
        return norm

    @property
    def _micro_batch_size(self) -> int:
        """A CPU's caches are too small for large batches; a GPU is faster with them."""
        return int(self.config.micro_batch_size) if self.device.type == "cpu" else 16_384

    def _log_steps(self, steps: int) -> None:
        key = ALL_MODULES
        self.metrics.log_value((key, NUM_ENV_STEPS_TRAINED), steps, reduce="sum")
        self.metrics.log_value((key, NUM_ENV_STEPS_TRAINED_LIFETIME), steps, reduce="lifetime_sum")

    def compute_loss_for_module(self, **kwargs: Any) -> Any:
        """RLlib's hook for learners that keep its `update()`; ours does not call it."""
        raise NotImplementedError


def select_rows(observations: Any, rows: torch.Tensor) -> Any:
    """These rows of every part; of pictures with the channels last in memory, where they are."""
    if isinstance(observations, dict):
        return {name: select_rows(part, rows) for name, part in observations.items()}
    if observations.ndim != 4:
        return observations.index_select(0, rows)
    return observations.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)


def split_rows(observations: Any, size: int) -> Iterator[Any]:
    """Parts of at most `size` rows."""
    if not isinstance(observations, dict):
        yield from observations.split(size)
        return
    parts = [part.split(size) for part in observations.values()]
    for some in zip(*parts, strict=True):
        yield dict(zip(observations, some, strict=True))
