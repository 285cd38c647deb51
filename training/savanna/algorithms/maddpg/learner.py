"""The learner: keeps the replay buffer and makes the updates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from ray.rllib.core import ALL_MODULES, DEFAULT_MODULE_ID
from ray.rllib.core.learner.torch.torch_learner import TorchLearner
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import NUM_ENV_STEPS_TRAINED, NUM_ENV_STEPS_TRAINED_LIFETIME

from savanna.algorithms.maddpg.replay import Replay
from savanna.algorithms.maddpg.stack import Ensemble, Stack
from savanna.algorithms.maddpg.update import Settings, Update

ACTOR, CRITIC = "actor", "critic"
COUNTERS = ("_credit", "_untold", "_updates", "_actor_updates")


class MADDPGLearner(TorchLearner):
    """Learns from `Fragment`s; runs in the driver's process (`num_learners=0`).

    The replay buffer is not part of a checkpoint. A learner restored from one first collects
    `num_steps_sampled_before_learning_starts` new world steps with its policy, then updates.
    """

    def configure_optimizers(self) -> None:
        """One optimiser for all actors and one for all critics, over their stacked parameters."""
        config = self.config
        self._update_rule = Update(
            [self.module[name].unwrapped() for name in config.module_of_agent()],
            config.layout(),
            Settings(
                local=config.local(),
                temperature=config.gumbel_temperature,
                logit_penalty=config.logit_penalty,
                target_noise=config.target_noise,
                target_noise_clip=config.target_noise_clip,
            ),
        )
        for name, parameters, lr in (
            (ACTOR, self._update_rule.actors.parameters, config.lr),
            (CRITIC, self._update_rule.critic_parameters, config.critic_lr or config.lr),
        ):
            self.register_optimizer(
                module_id=ALL_MODULES,
                optimizer_name=name,
                optimizer=torch.optim.Adam(parameters, lr=1e-3, fused=True),
                params=parameters,
                lr_or_lr_schedule=lr,
            )

    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Nothing: see `configure_optimizers`."""

    def build(self) -> None:
        super().build()
        config = self.config
        self.replay = Replay(config.replay_capacity, config.layout().row_width, config.seed)
        self.learned: dict[str, float] = {}  # metrics of the last update
        self._credit = 0.0  # updates that the sampled steps have paid for
        self._untold = 0  # steps stored since the last update
        self._updates = 0
        self._actor_updates = 0

    def update(
        self, *, training_data: TrainingData, timesteps: dict[str, Any], **kwargs: Any
    ) -> Any:
        """Store the fragments in `training_data.episodes`, and make the updates they pay for."""
        self.before_gradient_based_update(timesteps=timesteps)
        config = self.config
        fragments = training_data.episodes
        steps = sum(len(fragment) for fragment in fragments)
        for fragment in fragments:
            self.replay.add(fragment.rows)
        if self.replay.added >= config.num_steps_sampled_before_learning_starts:
            self._credit += steps / config.world_steps_per_update
        self._untold += steps
        count, trained = int(self._credit), 0
        self._credit -= count
        statistics: list[dict[str, torch.Tensor]] = []
        for _ in range(count):
            statistics.append(self._step())
            trained += config.train_batch_size_per_learner
        if statistics:
            self._weights_seq_no += 1
            self._log(statistics)
        key = (ALL_MODULES, NUM_ENV_STEPS_TRAINED)
        self.metrics.log_value(key, trained, reduce="sum")
        key = (ALL_MODULES, NUM_ENV_STEPS_TRAINED_LIFETIME)
        used = self._untold if count else 0
        self._untold -= used
        self.metrics.log_value(key, used, reduce="lifetime_sum")
        self.after_gradient_based_update(timesteps=timesteps)
        return self.metrics.reduce()

    def _step(self) -> dict[str, torch.Tensor]:
        """One update of the critics and, every `policy_delay`-th time, of actors and targets."""
        config, rule = self.config, self._update_rule
        rows = self.replay.sample(config.train_batch_size_per_learner).to(self.device)
        batch = rule.layout.batch(rows)
        targets = rule.targets(batch)
        loss, values = rule.critic_loss(batch, targets)
        norm = self._descend(CRITIC, loss, rule.critics)
        self._updates += 1
        found = {
            "vf_loss": loss.detach() / len(config.local()) / config.num_critics,
            "gradients_default_optimizer_global_norm": norm,
            "vf_explained_var": 1 - (targets - values).var() / (targets.var() + 1e-8),
        }
        if self._updates % config.policy_delay == 0:
            loss, entropy = rule.actor_loss(batch)
            self._descend(ACTOR, loss, [rule.actors])
            self._actor_updates += 1
            rule.average(self._actor_updates, config.average_updates)
            rule.follow(config.tau)
            found |= {"policy_loss": loss.detach() / len(config.local())}
            found |= {"entropy": entropy} if entropy is not None else {}
        return found

    def _descend(
        self, name: str, loss: torch.Tensor, ensembles: Sequence[Ensemble]
    ) -> torch.Tensor:
        """A step of one optimiser; the mean norm of a network's gradient before clipping."""
        optimizer = self.get_optimizer(ALL_MODULES, name)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        stacks = [stack for ensemble in ensembles for stack in ensemble.stacks]
        norm = clip_each(stacks, self.config.grad_clip)
        optimizer.step()
        return norm

    def _log(self, statistics: Sequence[dict[str, torch.Tensor]]) -> None:
        names = {name for found in statistics for name in found}
        self.learned = {}
        for name in sorted(names):
            values = [found[name] for found in statistics if name in found]
            value = self.learned[name] = float(torch.stack(values).mean())
            self.metrics.log_value((DEFAULT_MODULE_ID, name), value, window=1)
        optimizer = self.get_optimizer(ALL_MODULES, ACTOR)
        rate = self._get_optimizer_lr(optimizer)
        key = (DEFAULT_MODULE_ID, "default_optimizer_learning_rate")
        self.metrics.log_value(key, rate, window=1)
        self.metrics.log_value((ALL_MODULES, "num_updates"), len(statistics), reduce="lifetime_sum")

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """RLlib's, plus the counters that decide when the next updates come and what they do."""
        counters = {name: getattr(self, name) for name in COUNTERS}
        return super().get_state(*args, **kwargs) | {"counters": counters}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        older = {"_actor_updates": state.get("actor_updates", self._actor_updates)}
        for name, value in state.get("counters", older).items():
            setattr(self, name, value)

    def compute_loss_for_module(self, **kwargs: Any) -> Any:
        """RLlib's hook for learners that keep its `update()`; ours does not call it."""
        raise NotImplementedError


def clip_each(stacks: Sequence[Stack], limit: float | None) -> torch.Tensor:
    """Scale the gradient of every network to a norm of at most `limit`; the mean norm before."""
    norms = []
    for stack in stacks:
        gradients = [p.grad for p in stack.parameters if p.grad is not None]
        squares = [gradient.flatten(1).square().sum(dim=1) for gradient in gradients]
        norm = torch.stack(squares).sum(dim=0).sqrt()
        norms.append(norm)
        if limit is not None:
            factor = (limit / (norm + 1e-6)).clamp(max=1.0)
            for gradient in gradients:
                gradient *= factor.view(-1, *(1,) * (gradient.dim() - 1))
    return torch.cat(norms).mean()
