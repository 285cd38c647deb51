"""What all our algorithms share: iterations that end, env runners that are watched, and an end with
a cause when training cannot go on."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError
from ray.rllib.algorithms.algorithm import Algorithm, TrainIterCtx
from ray.rllib.env.env_runner_group import EnvRunnerGroup
from ray.rllib.utils.metrics import (
    RESTORE_ENV_RUNNERS_TIMER,
    TIMERS,
    TRAINING_ITERATION_TIMER,
    TRAINING_STEP_TIMER,
)

from savanna.algorithms.supply import Supply
from savanna.errors import GaveUp
from savanna.metrics import TROUBLE

ITERATION_SECONDS = 30.0
"""Default of `max_time_s_per_iteration`: by then an iteration has ended and given a result, however
few samples there are."""
LOST_SECONDS = 600.0
"""Default of `env_runner_lost_timeout_s`: a run without any env runner ends after that."""

LOST = (RayActorError, NodeDiedError, ObjectLostError)
"""What a lost node looks like from here: no env runner, or a fragment that died before it came."""
RESTORE_SECONDS = 5.0
"""Between two looks whether lost env runners are back."""
STOP_LOOK_SECONDS = 0.5
CLEANUP_SECONDS = 5.0
"""How long env runners may take to end; one in a slow step is killed then."""

LEARNED = ("total_loss", "policy_loss", "vf_loss", "gradients_default_optimizer_global_norm")
"""Of a network's metrics: those that are finite as long as it learns."""


def set_limits(config: Any) -> None:
    """The settings of a config that say how long what may take."""
    config.max_time_s_per_iteration = ITERATION_SECONDS
    config.env_runner_lost_timeout_s = LOST_SECONDS
    # The driver learns; it must not wait long for an env runner that is gone.
    config.env_runner_health_probe_timeout_s = 0.2
    # It does what it is asked in order: the weights come before the next sample in any case.
    config.env_runner_restore_timeout_s = 1.0


class Paced(Algorithm):
    """RLlib's algorithm, whose iterations end after `max_time_s_per_iteration` at the latest.

    A subclass's `training_step` returns within a second or two where nothing arrives. Where
    training cannot go on (`give_up`) the iteration ends with a result; the next one raises
    `GaveUp`, so that there is time for a checkpoint in between.
    """

    stop_asked: Callable[[], bool] = staticmethod(lambda: False)
    """Whether the iteration is to end at once; asked every `STOP_LOOK_SECONDS`."""
    trouble: str | None = None
    supply: Supply

    def say(self, text: str, *, problem: bool = False) -> None:
        """Tell whoever watches the run; a `problem` lasts until the next message."""
        print(text, file=sys.stderr)

    def setup(self, config: Any) -> None:
        super().setup(config)
        self._next_restore = 0.0
        self._next_stop_look = 0.0
        self.supply = Supply(
            self.config.num_env_runners,
            patience=self.config.max_time_s_per_iteration,
            limit=self.config.env_runner_lost_timeout_s,
            say=self.say,
        )

    def train(self) -> dict[str, Any]:
        """RLlib's result, with the reason if the next iteration will not come."""
        if self.trouble is not None:
            raise GaveUp(self.trouble)
        result: dict[str, Any] = super().train()
        return result | ({TROUBLE: self.trouble} if self.trouble is not None else {})

    def seconds_left(self) -> float:
        """Training time until the run ends; its last iteration takes no longer."""
        return math.inf

    def give_up(self, cause: str) -> None:
        """Training cannot go on; the first cause counts."""
        self.trouble = self.trouble or cause

    def unfinished(self) -> bool:
        """Whether an iteration is to go on although RLlib's limits are reached."""
        return False

    def end_iteration(self) -> None:
        """What is to be done before an iteration's metrics are put together."""

    def _run_one_training_iteration(self) -> tuple[dict[str, Any], TrainIterCtx]:
        """RLlib's, which has no end but by steps."""
        with self.metrics.log_time((TIMERS, TRAINING_ITERATION_TIMER)), _Iteration(self) as pace:
            once = False
            while not pace.should_stop(once):
                with self.metrics.log_time((TIMERS, RESTORE_ENV_RUNNERS_TIMER)):
                    self.restore_env_runners(self.env_runner_group)
                with self.metrics.log_time((TIMERS, TRAINING_STEP_TIMER)):
                    self.training_step()
                once = True
            self.end_iteration()
        return self.metrics.compile(), pace

    def restore_env_runners(self, env_runner_group: EnvRunnerGroup) -> list[int]:
        """RLlib's, but now and then: it asks before every training step, and waits for an answer
        while a lost env runner has no machine to come back on."""
        if time.monotonic() < self._next_restore:
            return []
        restored: list[int] = super().restore_env_runners(env_runner_group)
        self._next_restore = time.monotonic() + RESTORE_SECONDS
        return restored

    def note_lost(self, env_runner: int, error: Exception) -> None:
        """A lost env runner is restarted by RLlib; where it is not, the run ends."""
        if not isinstance(error, LOST) or not self.config.restart_failed_env_runners:
            raise error
        self.supply.lost(env_runner, error)

    def nothing_came(self, doing: str) -> None:
        """Say why, now and then, and end the run if nothing will come."""
        self.supply.look(self.env_runner_group.healthy_env_runner_ids(), doing)
        gone = self.supply.gone()
        if gone is not None:
            self.give_up(gone)

    def check_learned(self, module: str, numbers: Mapping[str, float]) -> None:
        """After an update of a network with these metrics: give up where it cannot learn on."""
        for name in LEARNED:
            if not math.isfinite(numbers.get(name, 0.0)):
                self.give_up(
                    f"Learning failed: {name} of {module} is {numbers[name]}. Rewards or "
                    "observations may be too large, or lr too high; the last checkpoint with "
                    "finite weights is kept."
                )

    def broken_weights(self) -> str | None:
        """The first of the networks' parameters that has a NaN or an infinity."""
        found = self.learner_group.foreach_learner(_broken_weights)
        broken: str | None = next(iter(found.result_or_errors)).get()
        return broken

    def cleanup(self) -> None:
        group = getattr(self, "env_runner_group", None)
        if group is not None:  # RLlib waits for lost ones, and for a step, without end
            group.foreach_env_runner(
                lambda env_runner: env_runner.stop(), timeout_seconds=CLEANUP_SECONDS
            )
            group._worker_manager.clear()
            group._local_env_runner = None
        super().cleanup()

    def is_stop_asked(self) -> bool:
        now = time.monotonic()
        if now < self._next_stop_look:
            return False
        self._next_stop_look = now + STOP_LOOK_SECONDS
        return self.stop_asked()


class _Iteration(TrainIterCtx):
    """RLlib's limits of an iteration, and ours."""

    def __enter__(self) -> _Iteration:
        config = self.algo.config
        longest = max(config.max_time_s_per_iteration, config.min_time_s_per_iteration or 0)
        self._end = time.monotonic() + min(longest, self.algo.seconds_left())
        entered: _Iteration = super().__enter__()
        return entered

    def should_stop(self, once: bool) -> bool:
        algo = self.algo
        if algo.trouble is not None:
            return True
        if once and (time.monotonic() >= self._end or algo.is_stop_asked()):
            return True
        return False if once and algo.unfinished() else bool(super().should_stop(once))


def _broken_weights(learner: Any) -> str | None:
    for module_id in learner.module.keys():  # noqa: SIM118 (it is no dictionary)
        for name, value in learner.module[module_id].unwrapped().state_dict().items():
            if torch.is_tensor(value) and not bool(torch.isfinite(value).all()):
                return f"{module_id}, {name}"
    return None
