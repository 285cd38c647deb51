"""The head's limits: it stops after `MAX_HOURS`, or after `IDLE_MINUTES` without a Ray job.

Both may change while it runs.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import cloud, tagged
from .stop import say, stop_machine, warn_users

POLL_SECONDS = 15.0
WARN_SECONDS = 300.0
ACTIVE = ("PENDING", "RUNNING")


@dataclass(frozen=True, order=True)
class Stop:
    left: float  # seconds
    limit: float  # seconds
    why: str

    @property
    def soon(self) -> bool:
        """Whether to warn: at five minutes, or at half of a limit below ten minutes."""
        return self.left <= min(WARN_SECONDS, self.limit / 2)


@dataclass
class Limits:
    """Times in seconds on one clock; a limit of 0 means never."""

    started: float  # when this machine came up
    busy: float  # when a job was last seen, or may have run
    idle_limit: float
    life_limit: float

    def next(self, now: float) -> Stop | None:
        """What will stop the machine first; `None` if there are no limits."""
        ends = []
        if self.life_limit:
            why = f"it has run for {self.life_limit / 3600:g} hours"
            ends.append(Stop(self.started + self.life_limit - now, self.life_limit, why))
        if self.idle_limit:
            why = f"no Ray job for {self.idle_limit / 60:g} minutes"
            ends.append(Stop(self.busy + self.idle_limit - now, self.idle_limit, why))
        return min(ends, default=None)

    def see(self, jobs: list[dict[str, Any]] | None, now: float, clock: float) -> None:
        """Take note of Ray's jobs. `None` (Ray did not answer) counts as busy: the node service
        deals with that. `clock` is the time of day, as in the end times of jobs."""
        if jobs is None or any(job.get("status") in ACTIVE for job in jobs):
            self.busy = now
        else:  # a job may have started and ended since the last check
            ends = [job["end_time"] / 1000 for job in jobs if job.get("end_time")]
            self.busy = max([self.busy, *(now - max(0.0, clock - end) for end in ends)])


def ray_jobs(token: Path) -> list[dict[str, Any]] | None:
    """All jobs and drivers that Ray knows (times in ms); `None` if it does not answer."""
    url = f"http://127.0.0.1:{cloud.setting('DASHBOARD_PORT')}/api/jobs/"
    try:
        text = cloud.call("GET", url, {"Authorization": f"Bearer {token.read_text().strip()}"})
        return list(json.loads(text))
    except (cloud.CloudError, OSError, ValueError):
        return None


def started(mark: Path) -> float:
    """When this was first called since the machine booted, even if the service restarts."""
    if not mark.exists():
        mark.write_text(str(time.monotonic()))
    return float(mark.read_text())


def refresh(limits: Limits, *, quiet: bool = False) -> bool:
    """Whether the machine's tag could be read; if not, the limits stay as they are."""
    try:
        now = tagged.limits()
    except cloud.CloudError as error:
        if not quiet:
            say(f"limits: {error}")
        return False
    before = (limits.idle_limit, limits.life_limit)
    limits.idle_limit, limits.life_limit = 60 * now["IDLE_MINUTES"], 3600 * now["MAX_HOURS"]
    if before != (limits.idle_limit, limits.life_limit):
        idle, life = (f"{now[name]:g}" for name in ("IDLE_MINUTES", "MAX_HOURS"))
        say(f"limits: {idle} minutes without a Ray job, {life} hours in all; 0 means never")
    return True


def watch() -> int:
    """Runs until a limit is reached; then stops the machine."""
    folder = Path(cloud.setting("RUNTIME_DIRECTORY"))
    limits = Limits(
        started=started(folder / "started"),
        busy=time.monotonic(),
        idle_limit=60 * float(cloud.setting("IDLE_MINUTES")),
        life_limit=3600 * float(cloud.setting("MAX_HOURS")),
    )
    warned = failed = False
    while True:
        failed = not refresh(limits, quiet=failed)
        limits.see(ray_jobs(folder / "ray-token"), time.monotonic(), time.time())
        stop = limits.next(time.monotonic())
        if stop and stop.left <= 0:
            return stop_machine(stop.why)
        if stop and stop.soon and not warned:
            warn_users(f"this machine stops in {stop.left:.0f} seconds: {stop.why}")
        warned = bool(stop and stop.soon)
        time.sleep(min(POLL_SECONDS, max(1.0, stop.left)) if stop else POLL_SECONDS)
