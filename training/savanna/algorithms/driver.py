"""What our algorithms share: a driver that keeps env runners busy."""

from __future__ import annotations

from collections import Counter
from typing import Any

import torch
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    SAMPLE_TIMER,
    TIMERS,
)

from savanna.algorithms.episode import Episode
from savanna.algorithms.paced import Paced
from savanna.algorithms.sampling import SAMPLE, Failure, sample_fragment
from savanna.algorithms.tally import put_into

WAIT_SECONDS = 0.01
"""How long an idle driver waits for a fragment before it looks again. RLlib's default of 0 spins,
which costs the env runners most of a core."""


class FragmentDriver(Paced):
    """Keeps requesting fragments from env runners and loses none of them.

    A fragment has `episodes`, `node` and a length in steps; the config says how many the learner
    takes at a time (`fragments_per_batch`). While so many are waiting, no new ones are requested,
    and never more than `max_requests_in_flight_per_env_runner` at once. So a slow learner slows
    the env runners down instead of losing their work.
    """

    _fragments: list[Any]
    _ended: list[Episode]
    _steps_by_node: Counter[str]

    def setup(self, config: Any) -> None:
        self._fragments = []
        self._ended = []
        self._steps_by_node = Counter()
        # Env runners share the machine; torch would start a thread per core.
        torch.set_num_threads(max(1, config.num_cpus_for_main_process))
        super().setup(config)

    def training_step(self) -> None:
        """One update of the learner, or a short wait where there is too little data for it."""
        needed = self.config.fragments_per_batch
        with self.metrics.log_time((TIMERS, SAMPLE_TIMER)):
            if len(self._fragments) < needed:
                self._collect(WAIT_SECONDS)
            if len(self._fragments) < needed or self.trouble is not None:
                return
        batch, self._fragments = self._fragments[:needed], self._fragments[needed:]
        sampled = self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        results = self.learner_group.update(
            episodes=batch, timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: sampled}
        )
        self.metrics.aggregate(results, key=LEARNER_RESULTS)
        self.check_learned("the networks", self.learner_group._learner.learned)
        # Before the next requests: what is sampled during an update is one update old.
        self.env_runner_group.sync_weights(
            from_worker_or_learner_group=self.learner_group, inference_only=True
        )

    def _collect(self, timeout: float) -> None:
        """Take finished fragments and ask their env runners for more.

        Without env runner processes, one fragment is sampled here.
        """
        if self.config.num_env_runners == 0:
            self._take(0, sample_fragment(self.env_runner))
            return
        manager = self.env_runner_group._worker_manager
        results = manager.fetch_ready_async_reqs(tags=SAMPLE, timeout_seconds=timeout)
        manager.foreach_actor_async(sample_fragment, tag=SAMPLE)
        for result in results:
            if result.ok:
                self._take(result.actor_id, result.get())
            else:
                self.note_lost(result.actor_id, result.get())
        if not results:
            self.nothing_came("are sampling without end, or their machines are very slow")

    def _take(self, env_runner: int, fragment: Any) -> None:
        if isinstance(fragment, Failure):
            self.give_up(fragment.error)
            return
        self.supply.arrived(env_runner, fragment.node)
        self._fragments.append(fragment)
        steps = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        self.metrics.log_value(steps, len(fragment), reduce="lifetime_sum")
        self._ended += fragment.episodes
        self._steps_by_node[fragment.node] += len(fragment)

    def train(self) -> dict[str, Any]:
        """RLlib's result, plus the episodes that ended and what each node has sampled so far
        (`agent_steps_by_node`)."""
        result: dict[str, Any] = super().train()
        put_into(result, self._ended)
        self._ended = []
        return {**result, "agent_steps_by_node": dict(self._steps_by_node)}

    def get_state(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(*args, **kwargs)
        return state | {"steps_by_node": dict(self._steps_by_node)}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        # Replaces the current counts: a retried trial is restored twice.
        self._steps_by_node = Counter(state.get("steps_by_node", {}))
