"""What a job tells whoever submitted it: one line of JSON on its log for every change of phase.

    ::savanna {"phase": "running", "run": "pong/20261121T120000Z-s0"}

Phases: waiting (there, missing), starting (workers), running (run, checkpoint), stopping, and one
of succeeded, stopped (exit_code) and failed (cause, node, exit_code) at the end. Only a process
that `savanna submit` started reports them: one with the variable `SAVANNA_JOB`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from savanna.errors import Interrupted, UsageError
from savanna.runs.owner import JOB

PREFIX = "::savanna "
FINAL = ("succeeded", "stopped", "failed")


def report(phase: str, stream: TextIO | None = None, **details: Any) -> None:
    """Write one phase line to `stream` (default: stderr) if this process is a job."""
    if not os.environ.get(JOB):
        return
    stream = stream or sys.stderr
    stream.flush()
    line = f"{PREFIX}{json.dumps({'phase': phase, **details})}\n"
    # Past the stream's buffer: a signal handler may report, while a write is under way.
    os.write(stream.fileno(), line.encode())


@contextlib.contextmanager
def outcome() -> Iterator[None]:
    """Report how the block ends: succeeded, stopped or failed with the cause."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        report("stopped", cause=str(error), exit_code=getattr(error, "exit_code", 130))
        raise
    except BaseException as error:
        cause = str(error) or type(error).__name__
        node = re.search(r" on node ([\w.:-]*\w)", cause)
        code = 2 if isinstance(error, UsageError) else getattr(error, "exit_code", 1)
        report("failed", cause=cause, node=node[1] if node else None, exit_code=code)
        raise
    report("succeeded")


def read(log: str) -> list[dict[str, Any]]:
    """The phases in a job's log, oldest first; what is no whole phase line is left out."""
    found = []
    for line in log.splitlines():
        if line.startswith(PREFIX):
            with contextlib.suppress(ValueError):
                content = json.loads(line.removeprefix(PREFIX))
                if isinstance(content, dict) and isinstance(content.get("phase"), str):
                    found.append(content)
    return found


def without_phases(log: str) -> str:
    """`log` as people read it."""
    lines = log.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(PREFIX))
