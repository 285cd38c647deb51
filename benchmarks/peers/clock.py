"""A peer's training time: evaluating its policy stops the clock, the limit ends training."""

from __future__ import annotations

import time
from collections.abc import Callable


class TimeIsUp(Exception):
    """The training time is used up."""


class Clock:
    """Counts world steps and the seconds they took.

    Args:
        seconds: training time after which `tick` raises `TimeIsUp`.
        every: seconds of training between looks at the policy.
        look: takes (seconds, world steps) so far; its own time is not counted.
        now: a monotonic clock in seconds.
    """

    def __init__(
        self,
        seconds: float,
        every: float,
        look: Callable[[float, int], None],
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._limit, self._every, self._look, self._now = seconds, every, look, now
        self._next = every
        self._began = now()
        self.steps = 0
        self.seconds = 0.0

    def start(self) -> None:
        """Start counting here: earlier work, such as building networks, does not count."""
        self._began = self._now()

    def tick(self, steps: int) -> None:
        """Call after every step of all worlds; `steps` is how many worlds there are."""
        self.steps += steps
        self.seconds = self._now() - self._began
        if self.seconds >= self._limit:
            raise TimeIsUp
        if self.seconds >= self._next:
            before = self._now()
            self._look(self.seconds, self.steps)
            self._began += self._now() - before
            self._next += self._every
