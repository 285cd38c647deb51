"""Waits for what other processes do."""

from __future__ import annotations

import time
from collections.abc import Callable
from subprocess import Popen  # noqa: TID251 (the type)
from typing import TypeVar

import psutil
import pytest

T = TypeVar("T")

PATIENCE = 300.0
"""Seconds that a wait may take. Tests assert what happens, not when: a busy machine took more than
half a minute for what otherwise takes a tenth of a second."""


def wait_until(
    condition: Callable[[], T],
    what: str = "what is waited for",
    *,
    process: Popen | None = None,
    said: Callable[[], object] = str,
    seconds: float = PATIENCE,
    every: float = 0.1,
) -> T:
    """The first true value of `condition`, which is checked every `every` seconds.

    The test fails with what was `said` once `seconds` are over, or `process`, which should bring it
    about, has ended.
    """
    end = time.monotonic() + seconds
    while not (value := condition()):
        ended = process is not None and process.poll() is not None
        if ended and (value := condition()):
            break
        if ended:
            assert process is not None
            pytest.fail(f"{what}: the process ended with {process.returncode}\n{said()}")
        if time.monotonic() > end:
            pytest.fail(f"{what}: not within {seconds:g} s\n{said()}")
        time.sleep(every)
    return value


def gone(pid: int) -> bool:
    """Whether the process has ended, even if nobody has collected its exit code yet."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
