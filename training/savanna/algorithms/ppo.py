"""RLlib's PPO, but it reports episodes as our algorithms do and resumes where it was."""

from __future__ import annotations

from typing import Any

from ray.rllib.algorithms import ppo
from ray.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core import COMPONENT_OPTIMIZER
from ray.rllib.utils.metrics import ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME

from savanna.algorithms.continuation import (
    RANDOM,
    pack_env_runner,
    random_states,
    restore_random_states,
    unpack_env_runner,
)
from savanna.algorithms.episode import Episode
from savanna.algorithms.shared_checks import UNREAD
from savanna.algorithms.tally import report
from savanna.envs.rllib_world import MEASURED
from savanna.errors import UsageError

PACK_SECONDS = 10.0
"""How long a checkpoint waits for env runners; one in a slow step will start new episodes."""

KL_COEFFS = "kl_coeffs"
ENV_RUNNERS = "env_runners"


class ReportEpisodes(RLlibCallback):
    """Reports every episode that ends, whole: it may have begun in an earlier iteration."""

    def on_episode_end(
        self, *, episode: Any, prev_episode_chunks: Any, metrics_logger: Any, **kwargs: Any
    ) -> None:
        total = float(sum(chunk.get_return() for chunk in [*prev_episode_chunks, episode]))
        if not hasattr(episode, "agent_episodes"):
            report(metrics_logger, Episode(total, episode.t))
            return
        measured: dict[str, float] = {}
        for info in episode.get_infos(-1).values():
            measured |= info.get(MEASURED, {})
        report(metrics_logger, Episode(total, episode.env_t, measured))


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


class PPO(ppo.PPO):
    """Its checkpoints hold unfinished episodes, if the environments can be saved."""

    @classmethod
    def get_default_config(cls) -> PPOConfig:
        return PPOConfig()

    def get_state(self, components: Any = None, **kwargs: Any) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(components, **kwargs)
        if components is None:
            packed = self.env_runner_group.foreach_env_runner(
                pack_env_runner, timeout_seconds=PACK_SECONDS
            )
            state[ENV_RUNNERS] = {index: content for index, content in packed if content}
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        sampled = self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        self.learner_group.foreach_learner(lambda learner: learner.set_schedules(sampled))
        packed = state.get(ENV_RUNNERS, {})
        self.env_runner_group.foreach_env_runner(
            lambda env_runner: unpack_env_runner(env_runner, packed)
        )


class PPOConfig(ppo.PPOConfig):
    """Configures `PPO`; its settings are RLlib's."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or PPO)
        self.callbacks(ReportEpisodes)

    def get_default_learner_class(self) -> type:
        return PPOLearner

    def validate(self) -> None:
        super().validate()
        window = "metrics_num_episodes_for_smoothing"
        if vars(self)[window] != vars(ppo.PPOConfig())[window]:
            raise UsageError(f"{window} is not read by PPO: {UNREAD[window]}.")
