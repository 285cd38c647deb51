"""The one call to Ray Tune."""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from savanna.session.search_space import parse_search_space
from savanna.session.trainable import DRAWN, make_trainable

if TYPE_CHECKING:
    from savanna.session.session import Session
    from savanna.session.trials import RunRecording


def run_tune(session: Session) -> None:
    """Run the session's trials to their end; a trial that fails raises nothing here.

    Tune starts and ends trials, and draws a search's values. Its results folder is temporary:
    trials save into their runs themselves.
    """
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # ours asks for a checkpoint first
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # ours record
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    from ray import tune

    from savanna.session.waiting import Waiting

    plan, resumption = session.plan, session.resumption
    config: dict[str, Any] = plan.config.to_dict()
    if plan.search:
        config[DRAWN] = {k: parse_search_space(k, text) for k, text in plan.search.items()}
    begins = resumption is not None and resumption.run is None
    trainable = make_trainable(
        plan.config.algo_class,
        session.opening.folder,
        keep=plan.kept.keep,
        networks=resumption.checkpoint if resumption and begins else None,
        film_every=plan.film_every,
        seconds=plan.stop.get("seconds", math.inf),
    )
    with tempfile.TemporaryDirectory(prefix="savanna-tune-", ignore_cleanup_errors=True) as scratch:
        tune.run(
            trainable,
            name="tune",
            storage_path=scratch,
            config=config,
            stop=_stopper(session.recording),
            num_samples=plan.samples,
            search_alg=draws(plan.seed),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=plan.kept.checkpoint_freq,
                checkpoint_at_end=plan.kept.checkpoint_at_end,
            ),
            callbacks=[session.recording, Waiting(session.terminal)],
            max_failures=plan.kept.max_failures,
            trial_dirname_creator=_Here(session.opening.name_of),
            raise_on_failed_trial=False,
            verbose=0,
        )


def draws(seed: int) -> Any:
    """Draws the same values for the same `seed`, and each of them for every requested seed."""
    from ray.tune.search.basic_variant import BasicVariantGenerator

    return BasicVariantGenerator(random_state=seed, constant_grid_search=True)


def _stopper(recording: RunRecording) -> Any:
    """Asks `recording` when to stop a trial, and when to stop all."""
    from ray.tune import Stopper

    class Here(_Here, Stopper):
        def stop_all(self) -> bool:
            return recording.none_is_left()

    return Here(recording.should_stop)


class _Here:
    """A function that stays in this process. Tune copies and pickles its arguments, but a session
    has threads and files: copies are the object itself, pickles are empty (Tune's saved state is
    not used)."""

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        assert self._function is not None, "called outside the process that made it"
        return self._function(*arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Here:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Here, (None,))
