"""Downloading a run directory from the head, with only the Jobs API's address.

A helper job lists the files (`savanna.jobs.contents`); then we read them like Ray's own logs,
piece by piece, into a folder beside the run's destination. After an interruption the folder stays,
and its contents are not downloaded again.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from savanna.errors import SavannaError, UsageError
from savanna.jobs import phases
from savanna.jobs.client import JobsClient, NoSuchFile, Unreachable
from savanna.jobs.contents import File, link_name, read
from savanna.jobs.jobs import KIND, Jobs
from savanna.jobs.receive import Changed, Meter, has, receive
from savanna.jobs.records import new_id
from savanna.jobs.watch import watch

TERMINAL = ("SUCCEEDED", "FAILED", "STOPPED")
ROUNDS = 5
"""How often to list the files of a run that is still writing them."""
Say = Callable[[str], None]


def run_of(jobs: Jobs, reference: str) -> str:
    """The run (`experiment/id`) that `reference` names, or that the job `reference` made."""
    if "/" in reference:
        parts = PurePosixPath(reference).parts
        if len(parts) != 2 or not all(re.fullmatch(r"\w[\w.-]*", part) for part in parts):
            raise UsageError(f"{reference!r} is neither a job nor a run (experiment/id).")
        return "/".join(parts)
    job = jobs.look(reference)
    if job.state.run is None:
        why = f": {job.state.cause}" if job.state.cause else ""
        raise SavannaError(f"job {job.id} is {job.state.name} and has made no run{why}")
    return job.state.run


def fetch(jobs: Jobs, run: str, to: Path, say: Say, *, force: bool = False) -> Path:
    """Download the run `experiment/id` from the head to `to/experiment/id`. Returns its path.

    Replaces an existing run directory that differs only with `force`.
    """
    target = to / run
    folder = target.with_name(f".fetch-{target.name}")
    try:
        begun = folder.is_dir()
        folder.mkdir(parents=True, exist_ok=True)
        with _owned(folder):
            head, files = _list(jobs.client, run, folder, say)
            if target.exists():
                same = all(has(target, file) for file in files)
                if same or (not force and not begun):
                    shutil.rmtree(folder)
                if same:
                    say(f"{target} is already up to date")
                    return target
                if not force:
                    raise UsageError(f"{target} exists and differs. Replace it with --force.")
            for _ in range(ROUNDS):
                if _bring(jobs.client, head, run, files, folder, target, say):
                    break
                head, files = _list(jobs.client, run, folder, say)
            else:
                raise SavannaError(f"{run} changes faster than it can be fetched. Try again later.")
            _tidy(folder, files)
            _replace(folder, target)
    except OSError as error:
        raise SavannaError(f"cannot write {error.filename or folder}: {error.strerror}") from error
    return target


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """`UsageError` if another process is fetching into `folder`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"another `savanna fetch` is writing to {folder}.") from None
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(descriptor)


def _list(client: JobsClient, run: str, folder: Path, say: Say) -> tuple[str, list[File]]:
    """The head's node and the files of the run; writes the small files to `folder`."""
    helper = new_id("fetch")
    words = ["python", "-m", "savanna.jobs.contents", client.cluster.results, run]
    client.submit_job(entrypoint=shlex.join(words), submission_id=helper, metadata={KIND: "helper"})
    try:
        for info in watch(lambda: client.get_job_info(helper), say, interval=lambda _: 0.5):
            if str(getattr(info.status, "value", info.status)) in TERMINAL:
                break
        head = info.driver_node_id or ""

        def printed() -> list[File]:
            parts = client.read_file(head, phases.LOG.format(helper))
            return [_kept(file, folder) for file in read(_lines(parts))]

        return head, next(watch(printed, say))
    except NoSuchFile as error:
        raise SavannaError(f"the head could not list the run's files: {info.message}") from error
    except BaseException:
        with contextlib.suppress(Exception):
            client.stop_job(helper)
        raise
    finally:
        # We have its output. A helper that still runs ends by itself.
        with contextlib.suppress(RuntimeError, SavannaError):
            client.delete_job(helper)


def _lines(parts: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for part in parts:
        *whole, rest = (rest + part).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)


def _kept(file: File, folder: Path) -> File:
    if file.data is None:
        return file
    path = folder / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(file.data))
    if not has(folder, file):
        raise SavannaError(f"{file.path} arrived damaged")
    return replace(file, data=None)


def _bring(
    client: JobsClient, head: str, run: str, files: list[File], folder: Path, target: Path, say: Say
) -> bool:
    """Receive what `folder` lacks. Returns whether every file arrived as listed."""
    whole = True
    meter = Meter(run, sum(file.size for file in files))
    link = link_name(client.cluster.results)
    for file in files:
        if not file.path:
            whole = False
            continue
        path = folder / file.path
        if not path.exists() and has(target, file):
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(target / file.path, path)
        name = f"{link}/{run}/{file.path}"
        try:
            _until_whole(client, head, name, file, path, meter, say)
        except (Changed, NoSuchFile):
            whole = False
    meter.close()
    return whole


def _until_whole(
    client: JobsClient, head: str, name: str, file: File, path: Path, meter: Meter, say: Say
) -> None:
    def attempt() -> bool:
        moved = meter.moved
        try:
            receive(file, path, lambda lines: client.read_file(head, name, lines), meter)
        except Unreachable:
            if meter.moved == moved:
                raise
            return False  # the connection broke, but some data had arrived
        return True

    for whole in watch(attempt, say):
        if whole:
            return


def _tidy(folder: Path, files: list[File]) -> None:
    """Remove what the run no longer has, and set the files' times as on the head."""
    wanted = {folder / file.path for file in files}
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            with contextlib.suppress(OSError):
                path.rmdir()  # it is empty
        elif path not in wanted:
            path.unlink()
    for file in files:
        os.utime(folder / file.path, (file.modified, file.modified))


def _replace(folder: Path, target: Path) -> None:
    old = target.with_name(f".fetch-{target.name}-old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    folder.rename(target)
    shutil.rmtree(old, ignore_errors=True)


def open_command(path: Path) -> str:
    """The command that opens a run's report on this machine."""
    opener = "open" if shutil.which("open") else "xdg-open"
    return f"{opener} {shlex.quote(str(path / 'report.html'))}"
