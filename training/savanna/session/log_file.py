"""The log of a command: gets the output of Ray, RLlib and warnings instead of the terminal."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from savanna.errors import Interrupted, UsageError
from savanna.runs.directory import RunDirectory


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[TextIO]:
    """Append this process's stdout, stderr and warnings to `log`; yield the real stderr.

    Redirects file descriptors, not only `sys.stderr`: Ray's C++ code bypasses Python.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    terminal = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding or "utf-8")
    with log.open("a") as handle:
        os.dup2(handle.fileno(), 1)
        os.dup2(handle.fileno(), 2)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield terminal
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        logging.captureWarnings(False)
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in saved:
            os.close(descriptor)
        terminal.close()
        # colorama would end every command with an escape code, though we print no colours.
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
            run.log.write_text(f"This run's log is in {self.path}.\n")


@contextlib.contextmanager
def log_file(runs_root: Path, resumed: RunDirectory | None) -> Iterator[LogFile]:
    """The log of a command: that of the run it resumes, or a new one."""
    if resumed is not None:
        yield LogFile(resumed.log, of_a_run=True)
        return
    try:
        runs_root.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".log-", dir=runs_root)
    except OSError as error:
        raise UsageError(f"cannot write to --runs-root {runs_root}: {error.strerror}") from error
    os.close(handle)
    umask = os.umask(0)
    os.umask(umask)
    log = LogFile(Path(name), of_a_run=False)
    log.path.chmod(0o666 & ~umask)
    try:
        yield log
    finally:
        if not log.of_a_run:
            if sys.exc_info()[0] in (None, UsageError, Interrupted, KeyboardInterrupt):
                log.path.unlink(missing_ok=True)
            else:
                print(f"savanna: details in {log.path}", file=sys.stderr)
