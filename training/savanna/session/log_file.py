"""The log of a command: gets the output of Ray, RLlib and warnings instead of the terminal."""

from __future__ import annotations

import atexit
import contextlib
import io
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

    Redirects file descriptors, not only `sys.stderr`: Ray's C++ code bypasses Python. In a notebook
    `sys.stderr` is not a file: it is replaced as well, and yielded.
    """
    with contextlib.ExitStack() as stack:
        stack.callback(_no_escape_code)
        terminal = stack.enter_context(_terminal())
        stack.enter_context(_redirected("stdout", 1, log))
        stack.enter_context(_redirected("stderr", 2, log))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("default")
        yield terminal


@contextlib.contextmanager
def _terminal() -> Iterator[TextIO]:
    """What stderr is now, within the block and whatever replaces it there."""
    if sys.stderr is not None and _descriptor(sys.stderr) != 2:
        yield sys.stderr
        return
    encoding = getattr(sys.stderr, "encoding", None) or "utf-8"
    with os.fdopen(os.dup(2), "w", encoding=encoding) as terminal:
        yield terminal


@contextlib.contextmanager
def _redirected(name: str, number: int, log: Path) -> Iterator[None]:
    """Redirect the descriptor `number` to `log`, and `sys.NAME` if it is not that descriptor."""
    given = getattr(sys, name)
    _flush(given)
    saved = os.dup(number)
    try:
        with log.open("a") as handle:
            os.dup2(handle.fileno(), number)
        if _descriptor(given) != number:
            # It stays open: a logger that keeps it may still write to it later.
            raw = os.fdopen(number, "wb", closefd=False)
            setattr(sys, name, io.TextIOWrapper(raw, "utf-8", "replace", line_buffering=True))
        yield
    finally:
        _flush(getattr(sys, name))
        setattr(sys, name, given)
        os.dup2(saved, number)
        os.close(saved)


def _flush(stream: TextIO | None) -> None:
    with contextlib.suppress(AttributeError, ValueError):  # there is none, or it is closed
        stream.flush()  # type: ignore[union-attr]


def _descriptor(stream: TextIO | None) -> int | None:
    try:
        return stream.fileno()  # type: ignore[union-attr]
    except (AttributeError, OSError, ValueError):
        return None


def _no_escape_code() -> None:
    """colorama would end every command with one, though we print no colours."""
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
