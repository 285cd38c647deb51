"""Waiting until a cluster's worker nodes have joined."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

from savanna.errors import Interrupted, SavannaError
from savanna.jobs import phases
from savanna.session.request import TrainRequest
from savanna.session.stopping import StopRequest, handle_signals

EVERY_SECONDS = 10.0
"""Between two lines that say who is there, if nothing changes."""
DEFAULT_TIMEOUT = 1800.0


@dataclass(frozen=True)
class Workers:
    """How many worker nodes a run wants besides the head; it starts as soon as `least` joined."""

    wanted: int
    least: int
    timeout: float = DEFAULT_TIMEOUT  # seconds


def alive_workers(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """Addresses of the nodes of `ray.nodes()` that are alive, the head left out."""
    return sorted(
        n["NodeManagerAddress"]
        for n in nodes
        if n["Alive"] and "node:__internal_head__" not in n["Resources"]
    )


def count_workers() -> int:
    """Worker nodes of the joined cluster now."""
    import ray

    return len(alive_workers(ray.nodes()))


def wait_for_workers(
    workers: Workers,
    nodes: Callable[[], Sequence[dict[str, Any]]],
    changed: Callable[[list[str], int], None],
    stop: Callable[[], str | None],
    *,
    interval: float = 1.0,
) -> list[str]:
    """Addresses of the workers once there are `workers.least`.

    `nodes` is `ray.nodes`; `changed(there, missing)` is called at first, at every change and
    every `EVERY_SECONDS`; `stop` gives a reason to end early, which ends it without an error.
    Raises `SavannaError` after `workers.timeout` seconds that says who came and who is missing.
    """
    began = time.monotonic()
    shown: tuple[list[str], float] | None = None
    while True:
        there, now = alive_workers(nodes()), time.monotonic()
        missing = max(0, workers.least - len(there))
        if not missing or stop():
            return there
        if now - began >= workers.timeout:
            came = f": {', '.join(there)}" if there else ""
            raise SavannaError(
                f"{len(there)} of {workers.least} workers joined within "
                f"{workers.timeout:g} s{came}; missing {missing}. Look at the logs of the missing "
                "machines, give them longer with --start-timeout, or go with fewer (--min-workers)."
            )
        if shown is None or shown[0] != there or now - shown[1] >= EVERY_SECONDS:
            changed(there, missing)
            shown = (there, now)
        time.sleep(min(interval, max(0.0, began + workers.timeout - now)))


def await_workers(
    request: TrainRequest,
    stop_request: StopRequest,
    terminal: TextIO,
    stopping: Callable[[str], None],
) -> None:
    """Wait for the nodes that the request wants, if any; Ray has been joined.

    Raises `Interrupted` where a signal ends it, `SavannaError` where they do not come in time.
    """
    if not request.workers:
        return
    import ray

    least = request.workers if request.min_workers is None else request.min_workers
    timeout = DEFAULT_TIMEOUT if request.start_timeout is None else request.start_timeout
    workers = Workers(request.workers, least, timeout)

    def changed(there: list[str], missing: int) -> None:
        phases.report("waiting", terminal, there=there, missing=missing)
        who = ", ".join(there) or "none yet"
        print(f"Workers there: {who}; waiting for {missing} more ...", file=terminal, flush=True)

    with handle_signals(stop_request, stopping):
        there = wait_for_workers(workers, ray.nodes, changed, lambda: stop_request.reason)
    if stop_request.signal is not None:
        raise Interrupted("Stopped while waiting for workers.", stop_request.signal)
    if len(there) < least:
        raise SavannaError(f"{stop_request.reason}, while waiting for workers.")
    print(f"Workers there: {', '.join(there)}.", file=terminal, flush=True)
