"""The state of a job, from what Ray says about it and what the job itself reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from savanna.jobs.phases import FINAL

TERMINAL = FINAL
WRONG_USAGE = 2  # exit code
LOST = "the cluster no longer knows this job: its head was restarted or replaced"


@dataclass(frozen=True)
class State:
    """`name`: queued, waiting for nodes, waiting, starting, running, stopping; succeeded, failed,
    stopped.

    `resumable`: `run` (experiment/id) has a checkpoint to resume from. `group`: of several runs, of
    which `run` is one. `for_good`: it would fail the same way again.
    """

    name: str
    detail: str = ""  # as text, e.g. which nodes are missing
    cause: str | None = None  # of a failure or stop, one paragraph
    node: str | None = None  # where it failed, if known
    run: str | None = None
    resumable: bool = False
    workers: int | None = None  # worker nodes it trained with
    exit_code: int | None = None
    lost: bool = False
    group: str | None = None
    for_good: bool = False

    @property
    def terminal(self) -> bool:
        return self.name in TERMINAL

    @property
    def text(self) -> str:
        """`waiting: 3 of 4 CPUs are taken by pong-20261121-065500-ab12`."""
        return f"{self.name}: {self.detail}" if self.detail else self.name

    @property
    def refused(self) -> bool:
        """Whether its command was wrong, so that trying again is pointless."""
        return self.name == "failed" and self.exit_code == WRONG_USAGE

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def state_of(
    status: str | None,
    phases: Sequence[dict[str, Any]],
    *,
    message: str | None = None,
    exit_code: int | None = None,
) -> State:
    """The state of a job that was submitted.

    `status` is Ray's (PENDING, RUNNING, SUCCEEDED, FAILED, STOPPED), or `None` if the cluster
    does not know the job; `message` and `exit_code` are Ray's too. Only Ray decides that a job has
    ended: a job that reported its end is over once its process is.
    """
    run = _last(phases, "run")
    resumable = any(p.get("checkpoint") for p in phases if p.get("run") == run)
    last = phases[-1] if phases else {}
    said = last.get("phase") if last.get("phase") in FINAL else None
    common: dict[str, Any] = {
        "run": run,
        "resumable": resumable,
        "workers": _last(phases, "workers"),
        "group": _last(phases, "group"),
        "exit_code": exit_code,
    }
    if status is None:
        return State("failed", cause=LOST, lost=True, **common)
    if status == "PENDING":
        return State("queued", "the cluster has not started it yet", **common)
    if status == "RUNNING":
        return _going_on([p for p in phases if p.get("phase") not in FINAL], common)
    if status == "STOPPED" or (status == "FAILED" and said == "stopped"):
        return State("stopped", cause=last.get("cause") if said == "stopped" else None, **common)
    if status == "SUCCEEDED":
        if said == "succeeded":
            return State("succeeded", **common)
        what = f"reported {said!r}" if said else "did not report that it succeeded"
        return State("failed", cause=f"its command {what}, but ended with exit code 0", **common)
    cause = last.get("cause") if said == "failed" else None
    node = last.get("node") if said == "failed" else None
    return State(
        "failed",
        cause=cause or _explain(message, exit_code),
        node=node,
        for_good=said == "failed" and bool(last.get("for_good")),
        **common,
    )


def _going_on(phases: Sequence[dict[str, Any]], common: dict[str, Any]) -> State:
    last = phases[-1] if phases else {"phase": "starting"}
    if last["phase"] == "waiting":
        if "why" in last:
            return State("waiting", last["why"], **common)
        there = ", ".join(last.get("there", [])) or "none"
        missing = last.get("missing", 0)
        return State("waiting for nodes", f"{missing} missing; joined: {there}", **common)
    if any(p["phase"] == "stopping" for p in phases):
        return State("stopping", **common)
    if last["phase"] == "running":
        return State("running", last.get("note", ""), **common)
    return State("starting", "" if phases else "its command has not reported yet", **common)


def _explain(message: str | None, exit_code: int | None) -> str:
    """Ray's own message as a paragraph: the command's errors if any, else its last part."""
    lines = [line.strip() for line in (message or "").splitlines() if line.strip()]
    own = [line.removeprefix("savanna: ") for line in lines if line.startswith("savanna: ")]
    if own:
        return " ".join(own)
    if exit_code in (137, -9):
        return "its process on the head was killed (SIGKILL): the head may have run out of memory"
    return " ".join(lines)[-500:] or "Ray gives no reason"


def _last(phases: Sequence[dict[str, Any]], key: str) -> Any:
    return next((p[key] for p in reversed(phases) if p.get(key)), None)
