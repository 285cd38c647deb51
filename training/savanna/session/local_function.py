"""Functions that Ray Tune calls in the process that made them.

Tune copies and pickles what it is given, but a session has threads and files. Here, copies are the
object itself, and pickles are empty: Tune's saved state is not used.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any


class LocalFunction:
    def __init__(self, function: Callable[..., Any] | None) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        assert self._function is not None, "called outside the process that made it"
        return self._function(*arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> LocalFunction:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (LocalFunction, (None,))


def local_stopper(one: Callable[[str, dict[str, Any]], bool], every: Callable[[], bool]) -> Any:
    """Tune's stopper: `one` says when to stop a trial, `every` when to stop all."""
    from ray.tune import Stopper

    class LocalStopper(LocalFunction, Stopper):
        def stop_all(self) -> bool:
            return every()

    return LocalStopper(one)


def local_scheduler(may_try_again: Callable[[Any], bool]) -> Any:
    """Tune's scheduler: starts trials in order, and asks which failed ones are tried again."""
    from ray.tune.schedulers import FIFOScheduler

    class LocalScheduler(FIFOScheduler):
        def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
            trial.should_recover = LocalFunction(partial(may_try_again, trial))

    return LocalScheduler()
