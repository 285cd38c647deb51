"""Bringing a run directory from the head here, through nothing but the Jobs API."""

from __future__ import annotations

import contextlib
import filecmp
import re
import shlex
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from savanna.errors import SavannaError, UsageError
from savanna.jobs.client import JobsClient
from savanna.jobs.jobs import KIND, Jobs
from savanna.jobs.pack import unpack
from savanna.jobs.records import new_id
from savanna.jobs.watch import watch

TERMINAL = ("SUCCEEDED", "FAILED", "STOPPED")


def run_of(jobs: Jobs, reference: str) -> str:
    """The run (`experiment/id`) that a job made, or that `reference` is."""
    if "/" in reference:
        parts = PurePosixPath(reference).parts
        if len(parts) != 2 or not all(re.fullmatch(r"\w[\w.-]*", part) for part in parts):
            raise UsageError(f"{reference!r} is neither a job nor a run: write experiment/id.")
        return "/".join(parts)
    job = jobs.look(reference)
    if job.state.run is None:
        why = f": {job.state.cause}" if job.state.cause else ""
        raise SavannaError(f"job {job.id} is {job.state.name} and has made no run{why}")
    return job.state.run


def fetch(
    jobs: Jobs, run: str, to: Path, say: Callable[[str], None], *, force: bool = False
) -> Path:
    """The run `experiment/id` of the head as `to/experiment/id`; its path.

    A run directory that is there already and differs is replaced only with `force`.
    """
    target = to / run
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as name:
        new, old = Path(name) / "new", Path(name) / "old"
        new.mkdir()
        unpack(_packed(jobs.client, f"{jobs.client.cluster.results}/{run}", say), new)
        if target.exists():
            if _same(new, target):
                say(f"{target} is here already")
                return target
            if not force:
                raise UsageError(f"{target} exists and differs: --force replaces it.")
            target.rename(old)
        new.rename(target)
    return target


def _packed(client: JobsClient, folder: str, say: Callable[[str], None]) -> str:
    """The log of a helper job on the head that prints `folder`."""
    helper = new_id("fetch")
    client.submit_job(
        entrypoint=shlex.join(["python", "-m", "savanna.jobs.pack", folder]),
        submission_id=helper,
        metadata={KIND: "helper"},
    )
    try:
        for status in watch(lambda: client.get_job_status(helper), say, interval=lambda _: 0.5):
            if status.value in TERMINAL:
                break
        log: str = next(watch(lambda: client.get_job_logs(helper), say))
        return log
    except BaseException:
        with contextlib.suppress(Exception):
            client.stop_job(helper)
        raise
    finally:
        # What it printed is here; a helper that still runs is left to end and to be forgotten.
        with contextlib.suppress(RuntimeError, SavannaError):
            client.delete_job(helper)


def _same(one: Path, other: Path) -> bool:
    """Whether `other` has every file of `one` with the same content."""
    names = [str(p.relative_to(one)) for p in one.rglob("*") if p.is_file()]
    return not any(filecmp.cmpfiles(one, other, names, shallow=False)[1:])


def open_command(path: Path) -> str:
    """What opens a run's report on this machine."""
    opener = "open" if shutil.which("open") else "xdg-open"
    return f"{opener} {shlex.quote(str(path / 'report.html'))}"
