"""Signals that stop a command must reach only the command.

Terminals, `docker stop`, systemd and batch queues send them to every process in a group. If Ray's
processes ended immediately, no checkpoint could be written. So they start with these signals
blocked, and the command ends them when it is done. Uses only the standard library: Ray's workers
import this module.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def shielded() -> Iterator[None]:
    """Processes and threads that this thread starts within the block have `SIGNALS` blocked."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_instead() -> None:
    """Ignore `SIGNALS` if they are blocked here, so that programs started from here receive them.

    Programs inherit blocked signals: an environment that ends its own helper with SIGTERM would
    wait forever. They do not inherit a Python handler, even one that does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(SIGNALS)
    if not blocked:
        return
    for number in blocked:
        signal.signal(number, _ignore)
    # A fork, for example by `multiprocessing`, must end on signals like any process. They are
    # blocked during the fork: the child would still ignore one that arrives at once.
    os.register_at_fork(
        before=lambda: _set(signal.SIG_BLOCK),
        after_in_parent=lambda: _set(signal.SIG_UNBLOCK),
        after_in_child=_restore_defaults,
    )
    _set(signal.SIG_UNBLOCK)


def _ignore(number: int, frame: FrameType | None) -> None:
    """Do nothing."""


def _set(how: int) -> None:
    signal.pthread_sigmask(how, SIGNALS)


def _restore_defaults() -> None:
    for number in SIGNALS:
        if signal.getsignal(number) is _ignore:
            signal.signal(number, signal.SIG_DFL)
    _set(signal.SIG_UNBLOCK)
