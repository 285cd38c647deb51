"""The terminal: one live line on a TTY, a plain line now and then anywhere else."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Mapping
from typing import Any, TextIO

from savanna.metrics import COLUMNS, IterationResult
from savanna.recording.line import Line, live_line, paint, plain_line
from savanna.recording.progress import measure
from savanna.runs.directory import RunDirectory

PLAIN_SECONDS = 10.0
"""Least time between two plain lines."""

_ERASE = "\x1b[K"


class Console:
    """Shows a run on `stream`. Safe to call from several threads.

    `stop` and `max_duration` are what the run stops at (see `progress.measure`). Runs that
    share a terminal (`shared`) write plain lines only, each with its run id.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        stop: Mapping[str, float],
        max_duration: float | None = None,
        shared: bool = False,
    ) -> None:
        self._stream = stream
        self._stop, self._max_duration = dict(stop), max_duration
        self._shared, self._prefix = shared, ""
        self._live = not shared and is_terminal(stream)
        self._colour = self._live and not os.environ.get("NO_COLOR")
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._history: list[IterationResult] = []
        self._stage = ""
        self._printed_at = float("-inf")  # of the last plain line
        self._ended = threading.Event()
        self._ticker: threading.Thread | None = None

    def stage(self, text: str) -> None:
        """Say what happens before the first result: "starting Ray", "building env runners"."""
        with self._lock:
            self._stage = text
            if not self._live:
                self._print(f"{self._prefix}{text} ...")
        self._tick()

    def message(self, text: str) -> None:
        """Print a line of text above the live line."""
        with self._lock:
            drawn = self._live and self._ticker is not None and not self._ended.is_set()
            self._print(f"{self._clear()}{text}" if drawn else text)
            if drawn:
                self._draw()

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        if self._shared:
            self._prefix = f"{run.id}  "
        if resumed:
            # The sparkline, the rates and the share go on from what was recorded before.
            with self._lock:
                self._history = [_result(row) for row in run.metrics()]
        self._tick()

    def record(self, result: IterationResult) -> None:
        with self._lock:
            while self._history and self._history[-1].iteration >= result.iteration:
                self._history.pop()
            self._history.append(result)
            self._stage = ""
            now = time.monotonic()
            if self._live:
                self._draw()
            elif now - self._printed_at >= PLAIN_SECONDS:
                self._print_plain(now)
        self._tick()

    def finish(self, status: dict[str, Any]) -> None:
        """Leave the last line standing."""
        self._ended.set()
        if self._ticker is not None:
            self._ticker.join()
        with self._lock:
            if self._live:
                if self._history:
                    self._draw()
                    self._print("")
                else:
                    self._write(self._clear())
            elif self._history:
                self._print_plain(time.monotonic())

    def _line(self) -> Line:
        elapsed = time.monotonic() - self._began
        progress = measure(self._history, self._stop, elapsed, self._max_duration)
        return Line(progress, tuple(self._history), self._stop.get("return"), elapsed)

    def _print_plain(self, now: float) -> None:
        self._printed_at = now
        self._print(f"{self._prefix}{plain_line(self._line())}")

    def _draw(self) -> None:
        """Rewrite the live line in one write, text first and then the rest cleared: no flicker."""
        width = terminal_width(self._stream) - 1  # the last column would wrap in some terminals
        if self._stage or not self._history:
            elapsed = time.monotonic() - self._began
            parts = [(f"{self._stage or 'waiting for the first result'} ... {elapsed:.0f} s", "")]
        else:
            parts = live_line(self._line(), width, unicode=speaks_unicode(self._stream))
        text = paint(parts, width, colour=self._colour)
        self._write(f"\r{text}{_ERASE if self._colour else ' ' * (width - len(text))}")

    def _clear(self) -> str:
        """What empties the line. NO_COLOR means no escape code at all."""
        if self._colour:
            return f"\r{_ERASE}"
        return f"\r{' ' * (terminal_width(self._stream) - 1)}\r"

    def _tick(self) -> None:
        """Redraw every second, so that the clock runs between two iterations."""
        if self._live and self._ticker is None and not self._ended.is_set():
            self._ticker = threading.Thread(target=self._tick_on, name="console", daemon=True)
            self._ticker.start()

    def _tick_on(self) -> None:
        while True:
            with self._lock:
                self._draw()
            if self._ended.wait(1.0):
                return

    def _print(self, text: str) -> None:
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def _result(row: Mapping[str, float]) -> IterationResult:
    """A row of `metrics.csv` as the result it was; nan in columns that it lacks."""
    return IterationResult(**{name: row.get(name, math.nan) for name in COLUMNS})  # type: ignore[arg-type]


def is_terminal(stream: TextIO) -> bool:
    """Whether a line can be rewritten there."""
    return stream.isatty() and os.environ.get("TERM", "dumb") != "dumb"


def terminal_width(stream: TextIO) -> int:
    """Columns of the terminal behind `stream`; 80 where that is unknown."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def speaks_unicode(stream: TextIO) -> bool:
    try:
        "▁█≈→".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
