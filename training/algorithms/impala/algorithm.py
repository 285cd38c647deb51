"""The driver: keeps every env runner busy, feeds the learner, hands out new weights."""

from __future__ import annotations

from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SAMPLE_TIMER,
    TIMERS,
)

from training.algorithms.driver import WAIT_SECONDS, FragmentDriver
from training.algorithms.impala.config import ImpalaConfig


class Impala(FragmentDriver):
    """Importance Weighted Actor-Learner Architecture (Espeholt et al. 2018).

    Env runners sample without pause under slightly old weights; V-trace corrects for it. Every
    fragment is trained on.
    """

    @classmethod
    def get_default_config(cls) -> ImpalaConfig:
        return ImpalaConfig()

    def training_step(self) -> None:
        """One update of the learner, or a short wait where there is too little data for it."""
        needed = self.config.fragments_per_batch
        with self.metrics.log_time((TIMERS, SAMPLE_TIMER)):
            if len(self._fragments) < needed:
                self._collect(WAIT_SECONDS)
            if len(self._fragments) < needed:
                return
        batch, self._fragments = self._fragments[:needed], self._fragments[needed:]
        sampled = self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        results = self.learner_group.update(
            episodes=batch, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: sampled}
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self._log_episodes()
        # Before the next requests go out: what is sampled during an update is one update old.
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, inference_only=True
        )
