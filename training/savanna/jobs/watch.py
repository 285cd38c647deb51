"""Polling a cluster that may be unreachable for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from savanna.jobs.client import Unreachable

PATIENCE = 300.0
"""Seconds without an answer from the cluster after which to give up."""
T = TypeVar("T")


def watch(
    look: Callable[[], T],
    say: Callable[[str], None],
    *,
    interval: Callable[[T], float] = lambda _: 1.0,
    patience: float = PATIENCE,
    retry: float = 2.0,
) -> Iterator[T]:
    """Yield what `look` returns, repeatedly. The cluster may be away for up to `patience` s."""
    away_since: float | None = None
    while True:
        try:
            found = look()
        except Unreachable as error:
            now = time.monotonic()
            if away_since is None:
                away_since = now
                say(f"{error} Trying again for up to {patience:.0f} s ...")
            if now - away_since >= patience:
                raise
            time.sleep(retry)
            continue
        if away_since is not None:
            say("The cluster answers again.")
            away_since = None
        yield found
        time.sleep(interval(found))
