"""What a command prints: results on standard output, messages on standard error, and nothing else.

Libraries print what they like, those in C past Python, and so do environments. While a command
works, descriptors 1 and 2 lead elsewhere (`noise_to`), and only `show` and `say` reach the caller.
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
    """Who was to read the results has seen enough, as `head` has."""


def show(text: object, *, end: str = "\n") -> None:
    """Print a result."""
    with _reader():
        print(text, file=results(), end=end, flush=True)


def show_bytes(part: bytes) -> None:
    """Print a part of a result as it is."""
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
    """In the block, what is printed goes to the descriptor `file`, except by `show` and `say`.

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
    """Let nothing more out: libraries have last words while Python ends (colorama's is a code)."""
    null = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)


@contextlib.contextmanager
def _apart(stream: TextIO, stream_of: Callable[[int, str], TextIO]) -> Iterator[TextIO]:
    """A stream to where `stream` leads now; itself where it is not one of the descriptors."""
    try:
        descriptor = stream.fileno()
    except (AttributeError, OSError, ValueError):  # a notebook's, or none at all
        descriptor = -1
    if descriptor not in (1, 2):
        yield stream
        return
    copy = stream_of(os.dup(descriptor), stream.encoding)
    try:
        yield copy
    finally:
        with contextlib.suppress(OSError):  # what it could not print has been said
            copy.close()


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError, ValueError):  # none, full or closed
            stream.flush()


def _forget() -> None:
    global _results, _messages
    _results = _messages = None


class _Patient(io.FileIO):
    """Takes what cannot be written: a full disk, or a terminal that has gone, ends no run."""

    def write(self, data: bytes) -> int:  # type: ignore[override]
        left = memoryview(data)
        with contextlib.suppress(OSError):
            while left:
                left = left[super().write(left) :]
        return len(data)


def _patient(descriptor: int, encoding: str, *, closefd: bool = True) -> TextIO:
    raw = _Patient(descriptor, "w", closefd=closefd)
    # Without a buffer: a signal handler may print while something is being printed.
    return io.TextIOWrapper(raw, encoding, errors="backslashreplace", write_through=True)


def _plain(descriptor: int, encoding: str) -> TextIO:
    return open(descriptor, "w", encoding=encoding, errors="backslashreplace")
