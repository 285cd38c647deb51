"""Progress and time limit of an evaluation."""

from __future__ import annotations

import time

from savanna.streams import say

SECONDS = 60.0
"""How long the episodes of one checkpoint may take."""
TELL_SECONDS = 5.0


class Pace:
    """A `Watch` that says every few seconds how far a checkpoint's episodes are, and cuts them
    after `limit` seconds."""

    def __init__(self, episodes: int, limit: float) -> None:
        self._episodes, self._limit = episodes, limit
        self.begin(0)

    def begin(self, checkpoint: int) -> None:
        self._checkpoint = checkpoint
        self._started = self._told = time.monotonic()

    def __call__(self, ended: int, steps: int) -> bool:
        now = time.monotonic()
        if now - self._told >= TELL_SECONDS:
            self._told = now
            say(
                f"checkpoint {self._checkpoint}: {ended} of {self._episodes} episodes ended, the "
                f"longest has {steps:,} steps; {now - self._started:.0f} s of at most "
                f"{self._limit:.0f} s"
            )
        return now - self._started < self._limit
