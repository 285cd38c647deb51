"""What a job tells whoever submitted it: a line of JSON for every change of phase.

    {"phase": "running", "run": "pong/20261121T120000Z-s0", "checkpoint": false, "workers": 2}

The lines lie in a file beside the job's log on the head, so that asking for a state does not mean
reading a log. Phases: waiting (there and missing, or why), starting (workers), running (run,
checkpoint), stopping, and at the end succeeded, stopped (exit_code) or failed (cause, node,
exit_code). Only a process that `savanna submit` started reports them: one with the variable
`SAVANNA_JOB`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from savanna.errors import Interrupted, UsageError
from savanna.runs.owner import JOB
from savanna.streams import messages

FINAL = ("succeeded", "stopped", "failed")
LOG, FILE = "job-driver-{}.log", "job-driver-{}.phases"
"""Names on the head, with the job's id: Ray's of the log, and ours beside it."""
LINES = 50
"""How many of the last lines say all there is to know: each repeats what is in `_LASTING`."""
_LASTING = ("run", "checkpoint", "workers")
_lasting: dict[str, Any] = {}  # this process is one job


def report(phase: str, stream: TextIO | None = None, **details: Any) -> None:
    """Add a line if this process is a job, whose log `stream` (default: stderr) is.

    What cannot be written is lost: a full disk ends no run here.
    """
    job = os.environ.get(JOB)
    if not job:
        return
    _lasting.update({key: details[key] for key in _LASTING if key in details})
    line = json.dumps({"phase": phase, **_lasting, **details}) + "\n"
    with contextlib.suppress(OSError):
        # Ray opened the log; nothing else says where it lies.
        log = Path(f"/proc/self/fd/{(stream or messages()).fileno()}").resolve()
        if log.name != LOG.format(job):
            return
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        file = os.open(log.with_name(FILE.format(job)), flags, 0o644)
        try:
            # In one write: a signal handler may report while another report is under way.
            os.write(file, line.encode())
        finally:
            os.close(file)


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


def read(text: str) -> list[dict[str, Any]]:
    """The phases in the text of such a file, oldest first; what is not a whole line is left out."""
    found = []
    for line in text.splitlines():
        with contextlib.suppress(ValueError):
            content = json.loads(line)
            if isinstance(content, dict) and isinstance(content.get("phase"), str):
                found.append(content)
    return found
