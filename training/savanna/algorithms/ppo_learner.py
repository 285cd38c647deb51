"""RLlib's PPO learner, which saves all that it needs to continue exactly where it was."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.core import COMPONENT_OPTIMIZER

from savanna.algorithms.continuation import RANDOM, random_states, restore_random_states

KL_COEFFS = "kl_coeffs"


class PPOLearner(PPOTorchLearner):
    """Saves with its optimisers what RLlib forgets: the coefficients of the KL penalty, and the
    random states for shuffling batches."""

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
