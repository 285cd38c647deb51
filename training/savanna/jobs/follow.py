"""Staying with a job until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from savanna.errors import SavannaError
from savanna.jobs import phases
from savanna.jobs.jobs import Job, Jobs
from savanna.jobs.states import State
from savanna.jobs.watch import watch


def wait(
    jobs: Jobs,
    job: str,
    say: Callable[[str], None],
    *,
    timeout: float | None = None,
    **options: Any,
) -> Job:
    """The job once it has ended; says every change on the way.

    Raises `SavannaError` after `timeout` seconds; the job goes on. `options` are `watch`'s.
    """
    began, before = time.monotonic(), ""
    for seen in watch(lambda: jobs.look(job), say, interval=polling, **options):
        now = describe(seen.state)
        if now != before and not seen.state.terminal:
            say(f"{job}: {now}")
            before = now
        if seen.state.terminal:
            return seen
        if timeout is not None and time.monotonic() - began >= timeout:
            raise SavannaError(f"job {job} is still {now} after {timeout:g} s; it goes on.")
    raise AssertionError("watching ends only by an error")


def follow(
    jobs: Jobs, job: str, write: Callable[[str], None], say: Callable[[str], None], **options: Any
) -> Job:
    """Write the job's log, whole lines as they come, until it has ended; the job then."""
    written = 0  # characters of the log, phase lines included
    for seen in watch(lambda: jobs.look(job), say, interval=polling, **options):
        new = seen.log[written:]
        if not seen.state.terminal:
            new = new[: new.rfind("\n") + 1]
        written += len(new)
        text = phases.without_phases(new)
        if text:
            write(text)
        if seen.state.terminal:
            return seen
    raise AssertionError("watching ends only by an error")


def polling(job: Job) -> float:
    """Seconds to the next look: longer for a long log, which comes whole every time."""
    return min(10.0, 1.0 + len(job.log) / 500_000)


def describe(state: State) -> str:
    """A state in a line: `running (pong/20261121T120000Z-s0)`."""
    extra = state.detail or state.run
    return f"{state.name} ({extra})" if extra else state.name
