"""The driver: feeds the learner what env runners sample, and hands out new weights."""

from __future__ import annotations

from typing import Any

from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SAMPLE_TIMER,
    TIMERS,
)

from training.algorithms.driver import WAIT_SECONDS, FragmentDriver
from training.algorithms.maddpg.config import MADDPGConfig


class MADDPG(FragmentDriver):
    """Multi-Agent Deep Deterministic Policy Gradient (Lowe et al. 2017).

    Env runners sample while the learner makes the updates that the fragment before has paid for
    (`world_steps_per_update`): the ratio holds however many env runners there are.
    """

    @classmethod
    def get_default_config(cls) -> MADDPGConfig:
        return MADDPGConfig()

    def training_step(self) -> None:
        """Learn from one fragment, or wait for it."""
        local = self.config.num_env_runners == 0
        with self.metrics.log_time((TIMERS, SAMPLE_TIMER)):
            if local:
                self._take(self.env_runner.sample())
            else:
                self._collect(0.0 if self._fragments else WAIT_SECONDS)
            if not self._fragments:
                return
        fragment = self._fragments.pop(0)
        sampled = self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        results = self.learner_group.update(
            episodes=[fragment], timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: sampled}
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._log_episodes()
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, inference_only=True
        )

    def train(self) -> dict[str, Any]:
        """RLlib's result, with `num_agents`: a world step is a step of each of them."""
        return super().train() | {"num_agents": len(self.config.agents())}
