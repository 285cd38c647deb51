"""Runs that are tracked by MLflow without training.

As a program, `tracked_run.py ROOT NAME ITERATIONS [killed]`, one in its own process: it prints its
warnings. It starts when the file ROOT/go exists, so that several start at once; `killed`: it kills
itself in the middle of a migration of MLflow's database.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from sample_run import make_run, result, succeeded
from waiting import PATIENCE, wait_until

from savanna.recording import MlflowTracking
from savanna.runs.directory import RunDirectory


def track(run: RunDirectory, numbers: range, *, resumed: bool = False, **end: Any) -> list[str]:
    """Track iterations `numbers` of `run`; returns the warnings."""
    warnings: list[str] = []
    recorder = MlflowTracking(warnings.append, flush_seconds=0.05, patience=PATIENCE)
    recorder.start(run, run.config, resumed)
    for number in numbers:
        recorder.record(result(number))
    recorder.finish(end or succeeded())
    return warnings


def die_in_a_migration() -> None:
    import sqlalchemy

    @sqlalchemy.event.listens_for(sqlalchemy.Engine, "before_cursor_execute")
    def die(connection, cursor, statement, *rest) -> None:
        if "DROP TABLE experiments" in statement:
            os.kill(os.getpid(), signal.SIGKILL)


def main(root: str, name: str, iterations: str, how: str = "") -> None:
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401 (takes seconds)

    if how == "killed":
        die_in_a_migration()
    run = make_run(Path(root), 0, name=name)
    wait_until(lambda: Path(root, "go").exists(), every=0.01)
    print(*track(run, range(1, int(iterations) + 1)), sep="\n", end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
