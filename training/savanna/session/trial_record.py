"""What a session knows about one of its trials."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from savanna.errors import GaveUp, SavannaError, explained
from savanna.recording import Console, MetricsCsv, Recorder
from savanna.runs.copier import Copier
from savanna.runs.directory import RunDirectory
from savanna.runs.notes import Inbox
from savanna.runs.owner import Owner
from savanna.session.metadata import now
from savanna.session.retries import Retries
from savanna.streams import say


@dataclass
class TrialRecord:
    """What is known about one trial while it runs."""

    run: RunDirectory
    recorders: list[Recorder]
    stop: dict[str, float]
    copier: Copier | None = None
    retries: Retries = field(default_factory=lambda: Retries(0))
    owner: Owner | None = None
    group: str | None = None  # of several runs
    reason: str | None = None  # why it stopped, if it did not fail
    fulfilled: bool = False  # a stop rule was reached
    told: str = ""  # the last news that was reported: "", "result", "checkpoint"
    failed: str | None = None  # why it cannot be recorded any longer
    lost: bool = False  # another process writes the run: nothing is written to it any more
    cause: str = ""  # of the last failure of its trial
    status: dict[str, Any] = field(default_factory=dict)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.run.path)

    def check_owner(self) -> None:
        """Leave the run alone from now on, if another process has taken it over."""
        if self.lost or self.owner is None:
            return
        try:
            self.owner.insist()
        except GaveUp as error:
            self.lost = True
            self.failed = self.failed or f"The run could not be recorded any longer: {error}."
            self.recorders = [each for each in self.recorders if isinstance(each, Console)]
            if self.copier is not None:
                self.copier.leave(self.run.path)

    def write_status(self, state: str, reason: str = "", cause: str | None = None) -> None:
        self.check_owner()
        if self.lost:
            state, reason, cause = "failed", "ended by an error", cause or self.failed
        ended = None if state == "running" else now()
        self.status |= {"state": state, "reason": reason, "cause": cause, "ended": ended}
        if self.lost:
            return
        try:
            self.run.write_json("status.json", self.status, insist=True)
        except SavannaError as error:
            if state == "running":
                raise
            print(error, file=sys.stderr)  # how it ended is said all the same

    def each(self, action: Callable[[Recorder], None]) -> None:
        """Apply `action` to every recorder. One that fails is dropped, except `metrics.csv`."""
        for recorder in list(self.recorders):
            try:
                action(recorder)
            except Exception as error:
                if isinstance(recorder, MetricsCsv):
                    raise
                self.recorders.remove(recorder)
                why = explained(error) if isinstance(error, OSError) else error
                self.warn(
                    f"warning: {type(recorder).__name__} stops here: {why}. Training goes on, and "
                    "metrics.csv has everything."
                )

    @property
    def console(self) -> Console | None:
        return next((each for each in self.recorders if isinstance(each, Console)), None)

    def warn(self, text: str) -> None:
        """Say it on the terminal, above the live line if there is one."""
        if self.console is not None:
            self.console.message(text)
        else:
            say(text)


def still_ours(records: Iterable[TrialRecord]) -> list[TrialRecord]:
    """Those whose runs no other process has taken over."""
    records = list(records)
    for record in records:
        record.check_owner()
    return [record for record in records if not record.lost]
