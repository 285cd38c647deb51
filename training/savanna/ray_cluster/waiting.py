"""Reporting what a run is waiting for while others have the CPUs or GPUs that it needs."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ray.tune import Callback

from savanna.jobs import phases
from savanna.streams import say

GRACE_SECONDS = 2.0
"""A trial that is placed sooner does not count as waiting."""
EVERY_SECONDS = 3.0
"""Between two checks. Only what two in a row find is reported: when another run ends, Ray may take
a second to place a trial that now fits."""
KINDS = ("GPU", "CPU")


@dataclass(frozen=True)
class Reservation:
    """Resources that a job requests or holds: a placement group. Tune makes one per trial."""

    job: str  # Ray's id of the driver
    placed: bool
    resources: Mapping[str, float]


def what_for(
    own: str,
    reservations: Iterable[Reservation],
    total: Mapping[str, float],
    free: Mapping[str, float],
    names: Mapping[str, str],
) -> str | None:
    """What the job `own` is waiting for, as text; `None` if it is not waiting.

    `names`: a job's ID -> its name for users.
    """
    every = list(reservations)
    mine = [r for r in every if r.job == own]
    if any(r.placed for r in mine) or not mine:
        return None
    wanted = mine[0].resources
    short = [k for k in KINDS if wanted.get(k, 0) > free.get(k, 0)]
    others = [r for r in every if r.placed and r.job != own]
    found = []
    for kind in short:
        taken = total.get(kind, 0) - free.get(kind, 0)
        jobs = dict.fromkeys(r.job for r in others if r.resources.get(kind, 0))
        by = f" by {_listed([names.get(j, 'another job') for j in jobs])}" if jobs else ""
        found.append(f"{taken:g} of {total.get(kind, 0):g} {kind}s are taken{by}")
    if not found:  # enough in all, but not on one node
        parts = ", ".join(f"{wanted[k]:g} {k}s" for k in KINDS if wanted.get(k))
        found = [f"it needs {parts} in all, and no node has room for one of its processes"]
    return "; ".join(found)


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:2], *([f"{len(names) - 2} more"] if len(names) > 2 else [])]
    return " and ".join(shown) if len(shown) < 3 else f"{shown[0]}, {shown[1]} and {shown[2]}"


def look() -> str | None:
    """`what_for` of this process's job, in the Ray that it has joined or started."""
    import ray
    from ray.util import placement_group_table

    own = ray.get_runtime_context().get_job_id()
    reservations = [
        # A placement group's ID ends with its job's.
        Reservation(
            id[-len(own) :],
            group["state"] == "CREATED",
            {kind: sum(b.get(kind, 0) for b in group["bundles"].values()) for kind in KINDS},
        )
        for id, group in placement_group_table().items()
        if group["state"] != "REMOVED"
    ]
    alone = all(r.job == own for r in reservations)
    # A lone job's Ray may lack the API server, which knows the names.
    names = {} if alone else _names()
    return what_for(own, reservations, ray.cluster_resources(), ray.available_resources(), names)


def _names() -> dict[str, str]:
    import ray
    from ray.util.state import list_jobs

    address = ray.get_runtime_context().gcs_address
    names = {}
    for job in list_jobs(address, limit=10_000, raise_on_missing_output=False):
        driver = job.driver_info
        if job.job_id and job.submission_id:
            names[job.job_id] = job.submission_id
        elif job.job_id and driver:
            names[job.job_id] = f"process {driver.pid} on {driver.node_ip_address}"
    return names


class Waiting(Callback):
    """Reports what the first trial is waiting for, in the terminal and the job, until it starts."""

    def __init__(self, look: Callable[[], str | None] = look) -> None:
        self._look = look
        self._next = time.monotonic() + GRACE_SECONDS
        self._seen: str | None = None
        self._said: str | None = None
        self._over = False

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        """Tune calls this several times a second, whether or not anything happens."""
        if self._over or time.monotonic() < self._next:
            return
        self._next = time.monotonic() + EVERY_SECONDS
        try:
            why = self._look()
        except Exception as error:  # costs a message, never the run
            print(f"cannot find out what this run is waiting for: {error}", file=sys.stderr)
            self._over = True
            return
        again, self._seen = why == self._seen, why
        if why is None:
            self._end()
        elif again and why != self._said:
            self._said = why
            phases.report("waiting", why=why)
            say(f"Waiting: {why}.")

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._over = True
        self._end()

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """A failed trial is to start again, when there is room for it."""
        self._over, self._next = False, time.monotonic() + GRACE_SECONDS

    def _end(self) -> None:
        """No longer waiting: the resources are free, and the trial starts."""
        if self._said is not None:
            self._said = None
            phases.report("starting")
