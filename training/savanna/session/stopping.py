"""When a run ends: its stop rules, its time limit, or a signal."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import FrameType
from typing import Any

from savanna.metrics import EPISODE_WINDOW, STOP_RULES, IterationResult


def reached(result: IterationResult, stop: Mapping[str, float]) -> str | None:
    """The stop rule that `result` meets, as text; `None` if none."""
    for rule, limit in stop.items():
        value = getattr(result, STOP_RULES[rule])
        if rule == "return" and result.episodes_total < EPISODE_WINDOW:
            continue  # a few lucky first episodes solve nothing
        if value >= limit:
            return f"{STOP_RULES[rule]} {value:.6g} reached {limit:g}"
    return None


def margin(max_duration: float) -> float:
    """Seconds between the graceful stop and the hard one."""
    return min(max(10.0, 0.05 * max_duration), 0.3 * max_duration)


class StopRequest:
    """Why everything should stop now, if it should: a signal arrived or time is nearly up."""

    def __init__(self, began: float, max_duration: float | None) -> None:
        self.signal: int | None = None
        self._deadline = None
        if max_duration is not None:
            self._deadline = began + max_duration - margin(max_duration)
        self._max_duration = max_duration

    @property
    def reason(self) -> str | None:
        if self.signal is not None:
            return f"{signal.Signals(self.signal).name} received"
        if self._deadline is not None and time.monotonic() >= self._deadline:
            return f"the time limit of {self._max_duration:g} s was nearly reached"
        return None


@contextlib.contextmanager
def handle_signals(request: StopRequest, say: Callable[[str], None]) -> Iterator[None]:
    """The first SIGINT or SIGTERM asks for a graceful stop, the second ends the process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if request.signal is not None:
            say("Stopping immediately.")
            os._exit(128 + number)
        request.signal = number
        say(
            "Stopping after this iteration, with a checkpoint. "
            "Press Ctrl-C again to quit immediately."
        )

    previous = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def hard_limit(
    began: float, max_duration: float | None, last_words: Callable[[], Any]
) -> Iterator[None]:
    """End the process `max_duration` seconds after `began`, whatever it is doing."""
    if max_duration is None:
        yield
        return

    def end() -> None:
        last_words()
        print(f"savanna: ended by the hard time limit of {max_duration:g} s", file=sys.stderr)
        os._exit(1)

    timer = threading.Timer(began + max_duration - time.monotonic(), end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
