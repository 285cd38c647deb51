"""Waiting until a cluster's worker nodes have joined."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from savanna.errors import SavannaError
from savanna.jobs import phases
from savanna.planning.request import TrainRequest
from savanna.streams import say

EVERY_SECONDS = 10.0
"""Between two status lines, if nothing changes."""
DEFAULT_TIMEOUT = 1800.0


def alive_workers(nodes: Sequence[dict[str, Any]]) -> list[str]:
    """Addresses of the live nodes of `ray.nodes()`, without the head."""
    return sorted(
        n["NodeManagerAddress"]
        for n in nodes
        if n["Alive"] and "node:__internal_head__" not in n["Resources"]
    )


def count_workers() -> int:
    """How many worker nodes the joined cluster has now."""
    import ray

    return len(alive_workers(ray.nodes()))


def wait_for_workers(
    least: int,
    timeout: float,
    nodes: Callable[[], Sequence[dict[str, Any]]],
    changed: Callable[[list[str], int], None],
    *,
    interval: float = 1.0,
) -> list[str]:
    """Addresses of the workers once there are `least`.

    `nodes` is `ray.nodes`; `changed(there, missing)` is called at the start, on every change and
    every `EVERY_SECONDS`. After `timeout` seconds, raises `SavannaError` with who joined and how
    many are missing.
    """
    began = time.monotonic()
    shown: tuple[list[str], float] | None = None
    while True:
        there, now = alive_workers(nodes()), time.monotonic()
        missing = max(0, least - len(there))
        if not missing:
            return there
        if now - began >= timeout:
            came = f": {', '.join(there)}" if there else ""
            raise SavannaError(
                f"{len(there)} of {least} workers joined within {timeout:g} s{came}; {missing} "
                "missing. Check the logs of the missing machines, allow more time "
                "(--start-timeout) or start with fewer (--min-workers)."
            )
        if shown is None or shown[0] != there or now - shown[1] >= EVERY_SECONDS:
            changed(there, missing)
            shown = (there, now)
        time.sleep(min(interval, max(0.0, began + timeout - now)))


def await_workers(request: TrainRequest) -> None:
    """Wait for the nodes that the request wants, if any. Call it after joining Ray.

    Raises `SavannaError` if they do not join in time.
    """
    if not request.workers:
        return
    import ray

    least = request.workers if request.min_workers is None else request.min_workers
    timeout = DEFAULT_TIMEOUT if request.start_timeout is None else request.start_timeout

    def changed(there: list[str], missing: int) -> None:
        phases.report("waiting", there=there, missing=missing)
        who = ", ".join(there) or "none yet"
        say(f"Workers joined: {who}; waiting for {missing} more ...")

    there = wait_for_workers(least, timeout, ray.nodes, changed)
    say(f"Workers joined: {', '.join(there)}.")
