"""What all our algorithms share: iterations with a time limit, env runners that are watched, and an
error with a cause when training cannot continue."""

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

from savanna.algorithms.first_start import StrictGroup, strict_start
from savanna.algorithms.supply import Supply
from savanna.errors import GaveUp, MayPass
from savanna.metrics import TROUBLE

ITERATION_SECONDS = 30.0
"""Default of `max_time_s_per_iteration`: an iteration ends with a result by then, however few
samples it has."""
LOST_SECONDS = 600.0
"""Default of `env_runner_lost_timeout_s`: a run without any env runner ends after this time."""

LOST = (RayActorError, NodeDiedError, ObjectLostError)
"""Errors after the loss of a node: its env runner, or a fragment on its way, is gone."""
RESTORE_SECONDS = 5.0
"""Time between two checks whether lost env runners are back."""
STOP_LOOK_SECONDS = 0.5
CLEANUP_SECONDS = 5.0
"""How long env runners may take to end; one that is still in a slow step is then killed."""

LEARNED = ("total_loss", "policy_loss", "vf_loss", "gradients_default_optimizer_global_norm")
"""The metrics of a network that are finite as long as it learns."""


def set_limits(config: Any) -> None:
    """Set the time limits in `config`."""
    config.max_time_s_per_iteration = ITERATION_SECONDS
    config.env_runner_lost_timeout_s = LOST_SECONDS
    # The driver learns; it must not wait long for an env runner that is gone.
    config.env_runner_health_probe_timeout_s = 0.2
    # An env runner handles requests in order: it gets the weights before its next sample anyway.
    config.env_runner_restore_timeout_s = 1.0


class Paced(Algorithm):
    """RLlib's algorithm, whose iterations end after `max_time_s_per_iteration` at the latest.

    A subclass's `training_step` returns within a second or two even if nothing arrives. If training
    cannot continue (`give_up`), the iteration still ends with a result, and the next one raises
    `GaveUp`: a checkpoint can be written in between.
    """

    stop_asked: Callable[[], bool] = staticmethod(lambda: False)
    """Whether the iteration should end now; called every `STOP_LOOK_SECONDS`."""
    trouble: GaveUp | None = None
    supply: Supply
    group_class: type[StrictGroup] = StrictGroup

    def say(self, text: str, *, problem: bool = False) -> None:
        """Tell whoever watches the run; a `problem` lasts until the next message."""
        print(text, file=sys.stderr)

    def setup(self, config: Any) -> None:
        with strict_start(self.group_class):
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
            raise self.trouble
        result: dict[str, Any] = super().train()
        return result | ({TROUBLE: str(self.trouble)} if self.trouble is not None else {})

    def seconds_left(self) -> float:
        """Training time until the run ends; its last iteration takes no longer."""
        return math.inf

    def give_up(self, cause: GaveUp) -> None:
        """Training cannot go on; the first cause counts."""
        self.trouble = self.trouble or cause

    def unfinished(self) -> bool:
        """Whether an iteration should continue although RLlib's limits are reached."""
        return False

    def end_iteration(self) -> None:
        """Called before an iteration's metrics are collected."""

    def _run_one_training_iteration(self) -> tuple[dict[str, Any], TrainIterCtx]:
        """RLlib's, which only counts steps, with our time limit."""
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
        """RLlib's, but only every few seconds: RLlib checks before every training step, and waits
        while a lost env runner has no machine to restart on."""
        if time.monotonic() < self._next_restore:
            return []
        restored: list[int] = super().restore_env_runners(env_runner_group)
        self._next_restore = time.monotonic() + RESTORE_SECONDS
        return restored

    def note_lost(self, env_runner: int, error: Exception) -> None:
        """RLlib restarts a lost env runner; if it may not, the run ends."""
        if not isinstance(error, LOST) or not self.config.restart_failed_env_runners:
            raise error
        self.supply.lost(env_runner, error)

    def nothing_came(self, doing: str) -> None:
        """Say why from time to time, and end the run if nothing will come."""
        self.supply.look(self.env_runner_group.healthy_env_runner_ids(), doing)
        gone = self.supply.gone()
        if gone is not None:
            self.give_up(MayPass(gone))

    def check_learned(self, module: str, numbers: Mapping[str, float]) -> None:
        """Give up if these metrics of a network's update show that it can no longer learn."""
        for name in LEARNED:
            if not math.isfinite(numbers.get(name, 0.0)):
                self.give_up(
                    GaveUp(
                        f"Learning failed: {name} of {module} is {numbers[name]}. Rewards or "
                        "observations may be too large, or lr too high; the last checkpoint with "
                        "finite weights is kept."
                    )
                )

    def broken_weights(self) -> str | None:
        """The first of the networks' parameters that has a NaN or an infinity."""
        found = self.learner_group.foreach_learner(_broken_weights)
        broken: str | None = next(iter(found.result_or_errors)).get()
        return broken

    def cleanup(self) -> None:
        group = getattr(self, "env_runner_group", None)
        if group is not None:  # RLlib would wait forever for lost ones and slow steps
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
    for module_id in learner.module.keys():  # noqa: SIM118 (not a dictionary)
        for name, value in learner.module[module_id].unwrapped().state_dict().items():
            if torch.is_tensor(value) and not bool(torch.isfinite(value).all()):
                return f"{module_id}, {name}"
    return None
