"""How Ray starts and ends its processes on this machine, changed in a few places.

Ray has no options for these changes, so some of its functions are replaced temporarily.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from savanna.shield import SIGNALS, shielded

_started: list[int] = []  # of Ray's processes, which lead process groups of their own
_VITAL = ("gcs_server", "raylet")
"""Ray's processes that are not started again."""
LOST = "10"
"""Seconds after which a process ends that Ray's control server does not answer any more. Ray's
default is a minute, in which a server elsewhere might come back."""


@contextlib.contextmanager
def own_processes(lost: Callable[[str], None]) -> Iterator[None]:
    """Ray's processes that start in the block do not receive signals, and are killed at its end.

    Ray itself would send each a SIGTERM, which is blocked there, and wait for a second; its agents
    would run for several more seconds. Two of Ray's processes are not started: the API server,
    which without a dashboard only reports usage, which is off, and for which Ray would wait a
    second or two; and the autoscaler's monitor, since nothing here is scaled.

    `lost(cause)` is called in a thread if Ray's control server or raylet ends before the block.
    Ray would notice the first after a minute, and end this process; what is tried again after the
    second would wait for ever.
    """
    from ray._private import services
    from ray._private.node import Node

    ending = threading.Event()

    def watch(process: Any, name: str) -> None:
        process.wait()
        if not ending.is_set():
            lost(f"Ray's {name} has ended")

    def kill_started() -> None:
        ending.set()
        kill_with_children(_started)
        _kill_groups()

    kill_all = Node.kill_all_processes

    class Shielded(services.ConsolePopen):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            options["env"] = {**options["env"], "RAY_gcs_rpc_server_reconnect_timeout_s": LOST}
            with shielded():
                super().__init__(*arguments, process_group=0, **options)
            _started.append(self.pid)
            name = Path(arguments[0][0]).name
            if name in _VITAL:
                with shielded():
                    threading.Thread(target=watch, args=[self, name], daemon=True).start()

    def kill(self: Any, check_alive: bool = True, wait: bool = False, **options: Any) -> None:
        kill_started()
        kill_all(self, check_alive=False, wait=wait)

    with (
        _replaced(services, "ConsolePopen", Shielded),
        _replaced(Node, "start_api_server", lambda self, **options: None),
        _replaced(Node, "start_monitor", lambda self: None),
        _replaced(Node, "kill_all_processes", kill),
    ):
        try:
            yield
        finally:
            kill_started()


def kill_children() -> None:
    """Kill every process that this one has started."""
    import psutil

    kill_with_children([child.pid for child in psutil.Process().children()])
    _kill_groups()


def _kill_groups() -> None:
    """Kill the agents of a raylet that has ended before them, and whatever else is left."""
    while _started:
        with contextlib.suppress(OSError):
            os.killpg(_started.pop(), signal.SIGKILL)


def kill_with_children(processes: Iterable[int]) -> None:
    """Kill these processes and all that they have started; ignores those that have ended."""
    import psutil

    found = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            found += [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
    for each in found:
        with contextlib.suppress(psutil.Error):
            each.kill()


@contextlib.contextmanager
def handlers_left_alone() -> Iterator[None]:
    """Within the block, starting or joining Ray does not change this process's signal handlers.

    Ray's C++ code would install a SIGTERM handler that prints a stack trace and aborts.
    """
    from ray._private import utils, worker

    connect = worker.connect

    def connected(*arguments: Any, **options: Any) -> Any:
        with shielded():  # a signal that arrives meanwhile is handled afterwards
            try:
                return connect(*arguments, **options)
            finally:
                if threading.current_thread() is threading.main_thread():
                    for number in SIGNALS:
                        if (handler := signal.getsignal(number)) is not None:
                            signal.signal(number, handler)

    with (
        _replaced(utils, "set_sigterm_handler", lambda handler: None),
        _replaced(worker, "connect", connected),
    ):
        yield


@contextlib.contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, before)
