"""How jobs are shown, to people and to scripts."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from savanna.streams import say, show

if TYPE_CHECKING:
    from savanna.jobs.jobs import Job

EXIT_CODES = {"succeeded": 0, "failed": 1, "stopped": 130}


def leave(job: str, cluster: str) -> int:
    """Ctrl-C ends the looking on, never the job. `cluster`: options for the printed command."""
    say(f"Not waiting any longer; {job} goes on. `savanna stop {job}{cluster}` stops it.")
    return 130


def exit_code(job: Job) -> int:
    """That of the command that waits for the job; 2 for a job that was refused as wrong usage."""
    return 2 if job.state.refused else EXIT_CODES[job.state.name]


def show_end(job: Job, cluster: str, *, as_json: bool) -> None:
    """What an ended job leaves: its state on stdout, causes and next commands on stderr.

    `cluster`: the options for those commands.
    """
    show(json.dumps(as_dict(job), indent=2) if as_json else job.state.name)
    if job.state.cause:
        where = f" (on node {job.state.node})" if job.state.node else ""
        say(f"{job.id} {job.state.name}{where}: {job.state.cause}")
    if job.state.run and not job.state.lost:
        say(f"  bring it here  savanna fetch {job.id}{cluster}")
    if job.state.resumable and job.state.name != "succeeded":
        say(f"  go on          savanna submit --resume {job.state.run}{cluster}")


def as_dict(job: Job) -> dict[str, Any]:
    """A job as scripts read it."""
    state = job.state.as_dict()
    return {
        "job": job.id,
        "state": state.pop("name"),
        "experiment": job.experiment,
        "started": _time(job.started),
        "seconds": None if job.seconds is None else round(job.seconds, 1),
        "entrypoint": job.entrypoint,
        **state,
    }


def show_job(job: Job) -> None:
    rows = {
        "job": job.id,
        "state": job.state.text,
        "cause": job.state.cause,
        "node": job.state.node,
        "experiment": job.experiment,
        "run": job.state.run,
        "started": _time(job.started),
        "duration": _length(job.seconds),
        "command": job.entrypoint,
    }
    for name, value in rows.items():
        if value:
            show(f"{name:<12} {value}")


def show_table(jobs: list[Job]) -> None:
    rows = [("job", "state", "experiment", "run", "started", "duration")]
    for job in jobs:
        run = (job.state.run or "-").rpartition("/")[2]
        started, length = _time(job.started) or "-", _length(job.seconds) or "-"
        waiting = job.state.name.startswith("waiting")
        rows.append(
            (
                job.id,
                job.state.text if waiting else job.state.name,
                job.experiment,
                run,
                started,
                length,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        show("  ".join(f"{x:<{w}}" for x, w in zip(row, widths, strict=True)).rstrip())


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _length(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"
