"""The log of a command: gets the output of Ray, RLlib and warnings instead of the terminal."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from savanna.errors import Interrupted, UsageError
from savanna.files import is_gone, is_temporary, replace_text
from savanna.runs.directory import RunDirectory
from savanna.streams import noise_to, say


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[None]:
    """Append this process's output and warnings to `log`."""
    with log.open("a") as handle, noise_to(handle.fileno()), warnings.catch_warnings():
        warnings.simplefilter("default")
        try:
            yield
        finally:
            # colorama would end every program with an escape code, though we print no colours.
            colorama = sys.modules.get("colorama.initialise")
            if colorama is not None:
                atexit.unregister(colorama.reset_all)


class LogFile:
    """The log, written from the start; runs get it when they are created.

    `path` is its current location.
    """

    def __init__(self, path: Path, *, of_a_run: bool) -> None:
        self.path = path
        self.of_a_run = of_a_run

    def put_into(self, run: RunDirectory) -> None:
        """Make it the log of `run`: move it into the first run, and link (or name) it in others."""
        if self.path.resolve() == run.log.resolve():
            return
        if not self.of_a_run:
            self.path.replace(run.log)
            self.path, self.of_a_run = run.log, True
            return
        run.log.unlink(missing_ok=True)
        try:
            os.link(self.path, run.log)
        except OSError:  # a network share without links
            replace_text(run.log, f"This run's log is in {self.path}.\n")


@contextlib.contextmanager
def log_file(runs_root: Path, resumed: RunDirectory | None) -> Iterator[LogFile]:
    """The log of a command: that of the run it resumes, or a new one."""
    if resumed is not None:
        yield LogFile(resumed.log, of_a_run=True)
        return
    delete_abandoned_logs(runs_root)
    path = runs_root / f".log-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        runs_root.mkdir(parents=True, exist_ok=True)
        handle = path.open("x")
    except OSError as error:
        raise UsageError(
            f"cannot write to --runs-root {runs_root}: {error.strerror}. Name another folder."
        ) from error
    is_temporary(path)
    log = LogFile(path, of_a_run=False)
    try:
        _lock(handle)
        yield log
    finally:
        handle.close()
        if not log.of_a_run:
            if sys.exc_info()[0] in (None, UsageError, Interrupted, KeyboardInterrupt):
                log.path.unlink(missing_ok=True)
            else:
                say(f"savanna: details in {_kept(log.path)}")


def _kept(log: Path) -> Path:
    """Rename the log of a command that has failed without a run, so that no command deletes it."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    kept = log.with_name(f"failed-{stamp}-{secrets.token_hex(2)}.log")
    try:
        return log.rename(kept)
    except OSError:
        return log


def delete_abandoned_logs(runs_root: Path) -> None:
    """Delete the logs of commands that were killed before they had a run.

    Only those of this machine, whose process is gone. Machines and containers that share the folder
    may have the same name, and other processes: there a lock tells that the log is in use.
    """
    for left in runs_root.glob(".log-*-*-*"):
        host, pid, _ = left.name.removeprefix(".log-").rsplit("-", 2)
        if host != socket.gethostname() or not pid.isdigit() or not is_gone(int(pid)):
            continue
        with contextlib.suppress(OSError), left.open("a") as handle:
            if _lock(handle):
                left.unlink()


def _lock(handle: TextIO) -> bool:
    """Lock a file until it is closed; whether that worked: some network shares have no locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
