"""The learner: V-trace targets once per batch, then one or more passes in minibatches."""

from __future__ import annotations

from collections.abc import Sequence
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

from savanna.algorithms.impala.batch import TrainBatch
from savanna.algorithms.impala.loss import STATISTICS, Samples, impala_loss
from savanna.algorithms.impala.vtrace import vtrace
from savanna.modules.atari import AtariModule


class ImpalaLearner(TorchLearner):
    """Learns from `Fragment`s; runs in the driver's process (`num_learners=0`)."""

    def build(self) -> None:
        super().build()
        self._entropy_coeff = Scheduler(
            fixed_value_or_schedule=self.config.entropy_coeff, framework="torch", device="cpu"
        )
        self.learned: dict[str, float] = {}  # metrics of the last update
        self._shuffler = torch.Generator().manual_seed(self.config.seed or 0)

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        parameters = self.get_parameters(self._module[module_id])
        self.register_optimizer(
            module_id=module_id,
            optimizer=torch.optim.Adam(parameters, eps=config.adam_epsilon, fused=True),
            params=parameters,
            lr_or_lr_schedule=config.lr,
        )

    @property
    def _atari_module(self) -> AtariModule:
        module: AtariModule = self.module[DEFAULT_MODULE_ID].unwrapped()
        return module

    def update(
        self, *, training_data: TrainingData, timesteps: dict[str, Any], **kwargs: Any
    ) -> Any:
        """Train on the fragments in `training_data.episodes`; RLlib's reduced metrics."""
        self.before_gradient_based_update(timesteps=timesteps)
        fragments = training_data.episodes
        batch = TrainBatch.from_fragments(fragments, self.device)
        versions = [f.weights_version for f in fragments if f.weights_version > 0]
        lag = self._weights_seq_no - sum(versions) / len(versions) if versions else 0.0
        self._weights_seq_no += 1

        module = self._atari_module
        module.standardizer.update(batch.frames[:-1])
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

    def _observations(self, batch: TrainBatch) -> torch.Tensor:
        """Standardized stacks `[(T + 1) * N, S, height, width]`, channels last.

        Built once per update, so that every pass only copies whole rows out of it.
        """
        frames = self._atari_module.standardize(batch.frames)
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

    def _samples(
        self, batch: TrainBatch, observations: torch.Tensor
    ) -> tuple[Samples, dict[str, float]]:
        """What to learn from every sample, under the policy at the start of the update."""
        module, config = self._atari_module, self.config
        rows, envs, _ = batch.stacks.shape
        logits_parts, value_parts = [], []
        with torch.inference_mode():
            for part in observations.split(self._micro_batch_size):
                logits, values = module.logits_and_values(part)
                logits_parts.append(logits)
                value_parts.append(values)
        values = torch.cat(value_parts).view(rows, envs).clone()
        log_probs = torch.cat(logits_parts).view(rows, envs, -1)[:-1].log_softmax(-1)
        log_probs = log_probs.gather(-1, batch.actions.unsqueeze(-1)).squeeze(-1).clone()
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

    def _minibatches(self, count: int) -> Sequence[torch.Tensor]:
        """Indices of the minibatches of one pass: every sample once, in a new order."""
        order = torch.randperm(count, generator=self._shuffler).to(self.device)
        return order.tensor_split(max(1, round(count / (self.config.minibatch_size or count))))

    def _step(
        self,
        samples: Samples,
        observations: torch.Tensor,
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
            logits, values = self._atari_module.logits_and_values(
                select_rows(observations, chosen.rows)
            )
            loss, statistics = impala_loss(
                chosen,
                logits,
                values,
                clip=config.clip_param,
                vf_loss_coeff=config.vf_loss_coeff,
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


def select_rows(observations: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
    """`observations.index_select(0, rows)` that keeps the channels last."""
    return observations.permute(0, 2, 3, 1).index_select(0, rows).permute(0, 3, 1, 2)
