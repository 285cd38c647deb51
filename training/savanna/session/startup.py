"""Where the time goes between the command and the learner's first update."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

STARTUP = "startup"
"""Key of a trial's first result: {phase: when it ended}, seconds since the epoch, in order."""

PHASES = ("imports", "plan", "ray", "trial", "env runners and learner", "first update")


class Startup:
    """Notes when each phase of the startup ends; the first begins with the process, or `began`."""

    def __init__(self, began: float | None = None) -> None:
        import psutil

        self._began = psutil.Process().create_time() if began is None else began
        self._ends: dict[str, float] = {}

    def ended(self, phase: str) -> None:
        self._ends[phase] = time.time()

    def seconds(self, in_trial: Mapping[str, float]) -> dict[str, float]:
        """{phase: how long it took} and their sum as `total`; `in_trial`: what a trial noted."""
        ends = sorted({**self._ends, **in_trial}.items(), key=lambda end: PHASES.index(end[0]))
        took, before = {}, self._began
        for phase, end in ends:
            took[phase] = round(end - before, 2)
            before = end
        return took | {"total": round(before - self._began, 2)}


def as_text(seconds: Mapping[str, float]) -> str:
    """One line for `--debug`."""
    parts = ", ".join(f"{phase} {took:.1f}" for phase, took in seconds.items() if phase != "total")
    return f"first update {seconds['total']:.1f} s after the command: {parts}"


class TrialStartup:
    """The part of the startup seen by the trial's own process, for its first result."""

    def __init__(self) -> None:
        self._ends: dict[str, float] | None = {"trial": time.time()}

    def built(self, algorithm: Any) -> None:
        """`algorithm` has its env runners and its learner: watch for the first update."""
        ends = self._ends
        if ends is None:
            return
        ends["env runners and learner"] = time.time()
        group = algorithm.learner_group
        update = group.update

        def first(*arguments: Any, **options: Any) -> Any:
            group.update = update
            result = update(*arguments, **options)
            ends["first update"] = time.time()
            return result

        group.update = first

    def take(self) -> dict[str, Any]:
        """What to add to a result: everything once, after the first update; then nothing."""
        if self._ends is None or "first update" not in self._ends:
            return {}
        ends, self._ends = self._ends, None
        return {STARTUP: ends}
