"""Waiting for a job, or following its log, until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from savanna.errors import SavannaError
from savanna.jobs.jobs import Job, Jobs
from savanna.jobs.states import State
from savanna.jobs.watch import watch

STILL_SECONDS = 5
"""An ended job's log is complete after this long without output."""


def wait(
    jobs: Jobs,
    job: str,
    say: Callable[[str], None],
    *,
    timeout: float | None = None,
    **options: Any,
) -> Job:
    """Wait until the job has ended and return it; `say` gets every change of its state.

    Raises `SavannaError` after `timeout` seconds; the job continues. `options` are `watch`'s.
    """
    began, before = time.monotonic(), ""
    for seen in watch(lambda: jobs.look(job), say, **options):
        now = describe(seen.state)
        if now != before and not seen.state.terminal:
            say(f"{job}: {now}")
            before = now
        if seen.state.terminal:
            return seen
        if timeout is not None and time.monotonic() - began >= timeout:
            raise SavannaError(f"job {job} is still {now} after {timeout:g} s; it continues.")
    raise AssertionError("watching ends only by an error")


def follow(
    jobs: Jobs, job: str, write: Callable[[str], None], say: Callable[[str], None], **options: Any
) -> Job:
    """Write the job's log as it arrives until the job ends; returns the job."""
    written = skip = still = 0  # characters of the log, and of what a new tail repeats; seconds
    parts: Iterator[str | None] | None = None

    def step() -> Job | None:
        """Write one part of the log; if there was none, return the job."""
        nonlocal written, skip, still, parts
        try:
            if parts is None:
                seen = jobs.look(job)
                if seen.state.lost:
                    return seen
                parts, skip, still = jobs.client.tail(job), written, 0
            part = next(parts, "")
            if part:
                new, skip = part[skip:], max(0, skip - len(part))
                written, still = written + len(new), 0
                if new:
                    write(new)
                return None
            # Nothing new, or the end. A broken connection is silent too.
            seen, still = jobs.look(job), still + 1
        except BaseException:
            parts = None
            raise
        if part is not None:
            parts = None
        return seen if part is not None or still >= STILL_SECONDS else None

    for seen in watch(step, say, interval=lambda seen: 0.0 if seen is None else 1.0, **options):
        if seen is not None and seen.state.terminal:
            return seen
    raise AssertionError("watching ends only by an error")


def describe(state: State) -> str:
    """A state in one line: `running (pong/20261121T120000Z-s0)`."""
    return f"{state.name} ({state.run})" if state.run and not state.detail else state.text
