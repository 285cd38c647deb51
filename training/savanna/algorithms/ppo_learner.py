"""RLlib's PPO learner, which saves all that it needs to continue exactly where it was."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core import COMPONENT_OPTIMIZER
from ray.rllib.core.columns import Columns

from savanna.algorithms.continuation import RANDOM, random_states, restore_random_states
from savanna.modules.network import Network

KL_COEFFS = "kl_coeffs"


class _InScale:
    """A config whose settings for squared errors of values are meant in units of `square`."""

    def __init__(self, config: Any, square: float) -> None:
        self._config = config
        self.vf_loss_coeff = config.vf_loss_coeff / square
        self.vf_clip_param = config.vf_clip_param * square

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


class PPOLearner(PPOTorchLearner):
    """Saves with its optimisers what RLlib forgets: the coefficients of the KL penalty, and the
    random states for shuffling batches. Errors of our network's values count in its scale."""

    def before_gradient_based_update(self, *, timesteps: dict[str, Any]) -> None:
        super().before_gradient_based_update(timesteps=timesteps)
        self._unseen = set(self.module.keys())  # networks that have not seen this batch's returns

    def compute_loss_for_module(
        self, *, module_id: str, config: Any, batch: dict[str, Any], fwd_out: dict[str, Any]
    ) -> Any:
        network = self.module[module_id].unwrapped()
        if isinstance(network, Network):
            if module_id in self._unseen:
                self._unseen.remove(module_id)
                returns = batch[Columns.VALUE_TARGETS]
                network.see_returns(returns[batch.get(Columns.LOSS_MASK, returns == returns)])
            config = _InScale(config, float(network.returns.deviation) ** 2)
        return super().compute_loss_for_module(
            module_id=module_id, config=config, batch=batch, fwd_out=fwd_out
        )

    def get_state(
        self, components: Any = None, *, not_components: Any = None, **kwargs: Any
    ) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(
            components, not_components=not_components, **kwargs
        )
        if self._check_component(COMPONENT_OPTIMIZER, components, not_components):
            state[KL_COEFFS] = {
                name: float(value) for name, value in self.curr_kl_coeffs_per_module.items()
            }
            state[RANDOM] = random_states()
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        for name, value in state.get(KL_COEFFS, {}).items():
            self.curr_kl_coeffs_per_module[name].data.fill_(value)
        if RANDOM in state:
            restore_random_states(state[RANDOM])

    def set_schedules(self, agent_steps: int) -> None:
        """Set entropy coefficients for `agent_steps`; RLlib sets them only after an update."""
        for module_id in self.module.keys():  # noqa: SIM118 (not a dictionary)
            self.entropy_coeff_schedulers_per_module[module_id].update(timestep=agent_steps)
