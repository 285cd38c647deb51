"""A process that has imported RLlib, and forks a worker process whenever Ray wants one.

A worker process that Ray itself starts imports Ray twice and RLlib once: four seconds of CPU time.
A fork has both from the start, and shares the memory.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from savanna.files import temporary_folder
from savanna.forks.start import VARIABLE
from savanna.shield import SIGNALS, shielded

_START = Path(__file__).with_name("start.py")
_ready = False


def import_ray() -> None:
    """Import Ray so that forks of this process can be its worker processes.

    Ray's C++ code reads two variables once, on import, and requires them in a worker process: a
    job (none yet) and the process with which the worker must end (this one).
    """
    global _ready
    if "ray" in sys.modules:
        return
    variables = {"RAY_JOB_ID": "f" * 8, "RAY_RAYLET_PID": str(os.getpid())}
    os.environ.update(variables)
    try:
        import ray.actor
    finally:
        for name in variables:
            os.environ.pop(name, None)

    class Drawn(ray.actor.ActorClassID):
        """Defining an actor class draws an identifier, which seeds Ray's random number generator:
        all forks would then draw the same numbers, and give objects the same names."""

        @classmethod
        def from_random(cls) -> Any:
            return ray.ActorClassID(os.urandom(ray.ActorClassID.size()))

    ray.actor.ActorClassID = Drawn
    _ready = True


def draws_differ() -> bool:
    """Whether forks of this process draw different random identifiers."""
    drawn = []
    for _ in range(2):
        reading, writing = os.pipe()
        process = os.fork()
        if process == 0:
            from ray._raylet import UniqueID

            os.write(writing, UniqueID.from_random().binary())
            os._exit(0)
        os.close(writing)
        drawn.append(os.read(reading, 64))
        os.close(reading)
        os.waitpid(process, 0)
    return drawn[0] != drawn[1]


@contextlib.contextmanager
def forked_workers() -> Iterator[None]:
    """Within the block, worker processes of a Ray started here are forks of this process.

    Enter it before `ray.init`, once everything they need is imported. If `import_ray` was not the
    first to import Ray, or no socket can be created, they start as usual.
    """
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        try:
            # Only this user can open it, like every temporary folder.
            folder = stack.enter_context(temporary_folder())
            listener.bind(f"{folder}/template")
        except OSError as error:
            print(f"workers are not forked: {error}", file=sys.stderr)
        else:
            if _ready and draws_differ():
                stack.enter_context(_template(listener))
        yield


@contextlib.contextmanager
def _template(listener: socket.socket) -> Iterator[None]:
    """Start a fork that answers on `listener`, and make Ray ask it."""
    from ray._private import ray_constants

    listener.listen(64)
    watched, lifeline = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    with shielded():
        process = os.fork()
        if process == 0:
            _serve(listener, watched)
    os.close(watched)
    os.environ[VARIABLE] = str(listener.getsockname())
    listener.close()  # if the fork dies, requests must be refused, not wait
    script = ray_constants.SETUP_WORKER_FILENAME
    # Ray joins this to its own folder; an absolute path replaces that.
    ray_constants.SETUP_WORKER_FILENAME = str(_START)
    try:
        yield
    finally:
        ray_constants.SETUP_WORKER_FILENAME = script
        os.environ.pop(VARIABLE, None)
        os.close(lifeline)
        os.waitpid(process, 0)


def _serve(listener: socket.socket, watched: int) -> NoReturn:
    """Fork on every request, until the process at the other end of `watched` is gone."""
    try:
        os.setsid()  # Ctrl-C must reach only the process that started us
        for number in SIGNALS:  # blocked until a worker sets its own handlers
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # no zombies: exit codes are not needed
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        _close_others(listener.fileno(), watched)
        gc.collect()
        gc.freeze()  # existing objects stay shared with the forks
        workers: dict[int, int] = {}  # process descriptor -> PID
        askers: set[int] = set()  # groups of processes
        while True:
            ready, _, _ = select.select([listener.fileno(), watched, *workers], [], [])
            for descriptor in workers.keys() & set(ready):  # it has ended
                del workers[descriptor]
                os.close(descriptor)
            if watched in ready:
                break
            if listener.fileno() in ready:
                connection, _ = listener.accept()
                with connection:
                    askers |= _group(connection)
                    workers |= _answer(connection)
        # The command was killed, and its raylet with it. The raylet's agents, which are in its
        # group, would live on for a minute.
        for group in {*workers.values(), *askers}:
            with contextlib.suppress(OSError):
                os.killpg(group, signal.SIGKILL)
        os._exit(0)
    except BaseException:
        os._exit(1)


def _group(connection: socket.socket) -> set[int]:
    """The process group of the raylet whose child asks for a worker."""
    import psutil

    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    asker, _, _ = struct.unpack("3i", found)
    try:
        parent = psutil.Process(psutil.Process(asker).ppid())
        leads = parent.name() == "raylet" and os.getpgid(parent.pid) == parent.pid
    except (psutil.Error, OSError):
        return set()
    return {parent.pid} if leads else set()


def _close_others(*kept: int) -> None:
    """Close inherited files, pipes and the terminal: all descriptors but 0, 1, 2 and `kept`."""
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 (it must not stay open meanwhile)
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))


def _answer(connection: socket.socket) -> dict[int, int]:
    """Fork the requested worker. Returns {descriptor of its process: its PID}."""
    content, output, _, _ = socket.recv_fds(connection, 1 << 16, 3)
    while content and not content.endswith(b"\0"):
        more = connection.recv(1 << 16)
        content = content + more if more else b""
    worker = {}
    if content:
        process = os.fork()
        if process == 0:
            _become(json.loads(content[:-1]), output)
        with contextlib.suppress(ProcessLookupError):  # it may have ended already
            worker[os.pidfd_open(process)] = process
        connection.sendall(str(process).encode())
    for descriptor in output:
        os.close(descriptor)
    return worker


def _become(request: dict[str, Any], output: list[int]) -> NoReturn:
    """Become the requested worker process, until it ends."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for number, descriptor in enumerate(output):
            os.dup2(descriptor, number)
        _close_others()
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"])
        import numpy
        from ray._raylet import Config  # type: ignore[attr-defined]

        Config.initialize("")  # reads the environment again
        numpy.random.seed()  # else all forks would draw the same
        if "torch" in sys.modules:  # torch read OMP_NUM_THREADS on import
            threads = int(os.environ.get("OMP_NUM_THREADS") or 1)
            sys.modules["torch"].set_num_threads(threads)
        sys.argv = request["arguments"]
        sys.path[0] = str(Path(sys.argv[0]).parent)
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
