"""Environments that this process only asks about: each in a process and session of its own.

Whatever it does there (exit, hang, crash, leave programs running, print), this process goes on. It
works in the caller's folder and with its variables. All that it has started is ended with it.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from savanna.envs.finding import Finding
from savanna.errors import UsageError

LIMITS = {"reset": 120.0, "step": 60.0, "render()": 60.0, "close()": 15.0}
"""Seconds that a call may take, by its first word."""
LONGEST = 300.0
"""Seconds for others: importing it, creating it."""
SIZE = 128  # bytes of the file in which the process says what it does
_LOOK = 0.01  # seconds

_PROGRAM = """
import sys
folder, sys.path[:] = sys.argv[1], {path!r}
del sys.argv[1:]
from savanna.envs.guest_process import main
main(folder)
"""


class Visit(NamedTuple):
    """What an environment's process told."""

    findings: list[Finding]
    answer: Any = None


class Call(NamedTuple):
    """What the process is doing: the environment's call, if it is in one."""

    number: int
    name: str

    def write(self, shared: mmap.mmap) -> None:
        name = self.name.encode()[: SIZE - 17]
        content = self.number.to_bytes(8, "little") + bytes([len(name)]) + name
        shared[: len(content)] = content

    @classmethod
    def read(cls, shared: mmap.mmap) -> Call:
        content = shared[:SIZE]
        return cls(int.from_bytes(content[:8], "little"), content[9 : 9 + content[8]].decode())


DONE = Call(2**63, "")
"""It has told all, and waits for its end."""


def visit(
    task: str,
    name: str,
    settings: Mapping[str, Any],
    *,
    folder: Path | None = None,
    path: str | None = None,
    **options: Any,
) -> Visit:
    """Have `task` of `savanna.envs.guest_process` done with the environment `name`.

    `folder`: where, instead of here; `path`: one more folder to find modules in.

    Raises:
        UsageError: it cannot be imported or created, or ended its process there.
    """
    program = _PROGRAM.format(path=[*sys.path, *filter(None, [path])])
    with tempfile.TemporaryDirectory() as private:
        request = (task, name, dict(settings), options)
        Path(private, "request").write_bytes(pickle.dumps(request))
        state = Path(private, "state")
        state.write_bytes(bytes(SIZE))
        with (
            Path(private, "output").open("w+b") as output,
            state.open("r+b") as file,
            mmap.mmap(file.fileno(), SIZE) as shared,
        ):
            process = subprocess.Popen(
                [sys.executable, "-P", "-c", program, private],
                cwd=folder or Path.cwd(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
            try:
                problem = _watch(process, shared)
            finally:
                _end(process)
            call = Call.read(shared).name
            output.seek(0)
            printed = output.read().decode(errors="replace")
        told = _told(Path(private, "told"))
    print(printed[-20_000:], end="", file=sys.stderr, flush=True)
    findings, under_way, answer = [], "", None
    for kind, content in told:
        if kind == "refused":
            raise UsageError(content)
        if kind == "finding":
            findings.append(content)
        elif kind == "begin":
            under_way = content
        else:
            answer = content
    if problem is None:
        return Visit(findings, answer)
    said = next((line.strip() for line in reversed(printed.splitlines()) if line.strip()), "")
    hint = f" (its last output: {said[:200]})" if said and problem.startswith("ended") else ""
    text = f"{call or 'its process'} {problem}{hint}"
    if not under_way:
        raise UsageError(f"{name}: {text}")
    fix = "Let it raise an error instead of ending its process or waiting for ever."
    return Visit([*findings, Finding(under_way, "wrong", text, fix)], answer)


def _watch(process: subprocess.Popen[bytes], shared: mmap.mmap) -> str | None:
    """Wait until it has told all. Returns what happened to the call that it is in, otherwise."""
    last, since = Call.read(shared), time.monotonic()
    while True:
        time.sleep(_LOOK)
        ended, now = process.poll(), Call.read(shared)
        if now.number == DONE.number:
            return None
        if ended is not None:
            if ended < 0:
                return f"ended its process ({signal.Signals(-ended).name})"
            return f"ended its process (exit code {ended})"
        if now != last:
            last, since = now, time.monotonic()
        limit = LIMITS.get(now.name.partition(" ")[0], LONGEST)
        if now.name and time.monotonic() - since > limit:
            return f"did not return within {limit:g} s"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it and all that it has started, also in sessions of their own."""
    import psutil

    started: list[psutil.Process] = []
    with contextlib.suppress(psutil.NoSuchProcess):
        started = psutil.Process(process.pid).children(recursive=True)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for each in started:
        with contextlib.suppress(psutil.NoSuchProcess):
            each.kill()
    process.wait()


def _told(file: Path) -> list[tuple[str, Any]]:
    """What it wrote before its end; the last message may be cut off."""
    messages = []
    with contextlib.suppress(FileNotFoundError), file.open("rb") as content:
        with contextlib.suppress(EOFError, pickle.UnpicklingError):
            while True:
                messages.append(pickle.load(content))
    return messages
