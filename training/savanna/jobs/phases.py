"""What a job reports to whoever submitted it: one line of JSON per change of phase.

    {"phase": "running", "run": "pong/20261121T120000Z-s0", "checkpoint": false, "workers": 2}

The lines are in a file beside the job's log on the head, so that nobody needs to read a log to
learn the state. Phases: waiting (there and missing, or why), starting (workers), running (run,
checkpoint; the group of several runs), stopping, and at the end succeeded, stopped (exit_code) or
failed (cause, node, exit_code; for_good, if it would fail again). Only processes started by
`savanna submit` report them: those with the variable `SAVANNA_JOB`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from savanna.errors import GaveUp, UsageError
from savanna.runs.owner import JOB
from savanna.streams import messages

FINAL = ("succeeded", "stopped", "failed")
LOG, FILE = "job-driver-{}.log", "job-driver-{}.phases"
"""File names on the head, with the job's id: Ray's log, and our file beside it."""
LINES = 50
"""How many of the last lines are enough to read: each repeats the keys in `_LASTING`."""
_LASTING = ("run", "checkpoint", "workers", "group")
_lasting: dict[str, Any] = {}  # this process is one job


def report(phase: str, **details: Any) -> None:
    """Add a line if this process is a job, whose messages go to its log.

    Ignores write errors: a full disk must not end a run here.
    """
    job = os.environ.get(JOB)
    if not job:
        return
    _lasting.update({key: details[key] for key in _LASTING if key in details})
    line = json.dumps({"phase": phase, **_lasting, **details}) + "\n"
    with contextlib.suppress(OSError):
        # Ray opened the log; nothing else says where it is.
        log = Path(f"/proc/self/fd/{messages().fileno()}").resolve()
        if log.name != LOG.format(job):
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        file = os.open(log.with_name(FILE.format(job)), flags, 0o644)
        try:
            # In one write: a signal handler may report in the middle of another report.
            os.write(file, line.encode())
        finally:
            os.close(file)


@contextlib.contextmanager
def outcome() -> Iterator[None]:
    """Report how the block ends: succeeded, stopped or failed with the cause."""
    try:
        yield
    except KeyboardInterrupt as error:
        report("stopped", cause=str(error), exit_code=getattr(error, "exit_code", 130))
        raise
    except BaseException as error:
        cause = str(error) or type(error).__name__
        node = re.search(r" on node ([\w.:-]*\w)", cause)
        code = 2 if isinstance(error, UsageError) else 1
        more: dict[str, Any] = {"for_good": True} if isinstance(error, GaveUp) else {}
        report("failed", cause=cause, node=node[1] if node else None, exit_code=code, **more)
        raise
    report("succeeded")


def read(text: str) -> list[dict[str, Any]]:
    """The phases in the text of such a file, oldest first, without incomplete lines."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict) and isinstance(content.get("phase"), str):
                found.append(content)
    return found
