"""Signals that the main thread has not handled yet.

Python's handlers run in the main thread, between two of its instructions. While that waits in C++
code, for example for a Ray that stands still, none runs, but Python notes each signal in a pipe.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator


class Unheard:
    """The signals that arrived since the main thread has last called `handled`."""

    def __init__(self) -> None:
        self._reader: int | None = None
        self._lock = threading.RLock()  # a handler may interrupt another one
        self._arrived: list[tuple[float, int]] = []

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Note signals within the block. Only the main thread can."""
        reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        # A fork closes our files: its signals must not be written to whatever has the number then.
        os.register_at_fork(after_in_child=_forget)
        self._reader = reader
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            with self._lock:
                self._reader = None
                os.close(reader)
                os.close(writer)

    def arrived(self) -> list[tuple[float, int]]:
        """The moment (`time.monotonic`) and number of each, oldest first."""
        with self._lock:
            self._arrived += [(time.monotonic(), number) for number in self._read()]
            return list(self._arrived)

    def handled(self) -> None:
        """The main thread handles signals now."""
        with self._lock:
            self._read()
            self._arrived.clear()

    def _read(self) -> bytes:
        try:
            return b"" if self._reader is None else os.read(self._reader, 4096)
        except BlockingIOError:
            return b""


def _forget() -> None:
    signal.set_wakeup_fd(-1)
