"""What a command prints: results on standard output, messages on standard error, and nothing else.

Libraries and environments print whatever they like, and C libraries bypass Python's streams. While
a command runs, descriptors 1 and 2 go elsewhere (`noise_to`); only `show` and `say` reach the
caller.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

_results: TextIO | None = None
_messages: TextIO | None = None


def results() -> TextIO:
    """Standard output as the caller sees it."""
    return _results or sys.stdout


def messages() -> TextIO:
    """Standard error as the caller sees it."""
    return _messages or sys.stderr


class ReaderGone(Exception):
    """The program that reads the results has closed the pipe, as `head` does."""


def show(text: object, *, end: str = "\n") -> None:
    """Print a result."""
    with _reader():
        print(text, file=results(), end=end, flush=True)


def show_bytes(part: bytes) -> None:
    """Print part of a result, unchanged."""
    with _reader():
        results().buffer.write(part)
        results().flush()


def say(text: object) -> None:
    """Print a message."""
    print(text, file=messages(), flush=True)


@contextlib.contextmanager
def _reader() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error


@contextlib.contextmanager
def noise_to(file: int) -> Iterator[None]:
    """Within the block, all output except that of `show` and `say` goes to the descriptor `file`.

    Blocks may be nested.
    """
    global _results, _messages
    _flush()
    python = sys.stdout, sys.stderr
    saved = os.dup(1), os.dup(2)
    with contextlib.ExitStack() as stack:
        for descriptor in saved:
            stack.callback(os.close, descriptor)
        if _messages is None:
            _results = stack.enter_context(_apart(sys.stdout, _plain))
            _messages = stack.enter_context(_apart(sys.stderr, _patient))
            stack.callback(_forget)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout, sys.stderr = (_patient(each, "utf-8", closefd=False) for each in (1, 2))
        try:
            yield
        finally:
            _flush()
            sys.stdout, sys.stderr = python
            os.dup2(saved[0], 1)
            os.dup2(saved[1], 2)


def end_of_output() -> None:
    """Discard all further output: libraries print while Python exits (colorama, an escape code)."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)


@contextlib.contextmanager
def _apart(stream: TextIO, stream_of: Callable[[int, str], TextIO]) -> Iterator[TextIO]:
    """A copy of `stream` that a redirection of descriptors 1 and 2 does not affect.

    `stream` itself if it does not use one of these descriptors.
    """
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # a notebook's stream, or `None`
        descriptor = -1
    if descriptor not in (1, 2):
        yield stream
        return
    copy = stream_of(os.dup(descriptor), stream.encoding)
    try:
        yield copy
    finally:
        with contextlib.suppress(OSError):  # the failed write has already raised it
            copy.close()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # `None`, full or closed
            stream.flush()


def _forget() -> None:
    global _results, _messages
    _results = _messages = None


class _Patient(io.FileIO):
    """Ignores write errors: a full disk or a closed terminal must not end a run."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        left = memoryview(data)
        with contextlib.suppress(OSError):
            while left:
                left = left[super().write(left) :]
        return len(data)


def _patient(descriptor: int, encoding: str, *, closefd: bool = True) -> TextIO:
    raw = _Patient(descriptor, "w", closefd=closefd)
    # Unbuffered: a signal handler may print in the middle of another print.
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", write_through=True)


def _plain(descriptor: int, encoding: str) -> TextIO:
    return open(descriptor, "w", encoding=encoding, errors="backslashreplace")
