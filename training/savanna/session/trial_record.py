"""What a session knows about one of its trials."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from savanna.errors import SavannaError, explained
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
    cause: str = ""  # of the last failure of its trial
    status: dict[str, Any] = field(default_factory=dict)
    inbox: Inbox = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = Inbox(self.run.path)

    def write_status(self, state: str, reason: str = "", cause: str | None = None) -> None:
        ended = None if state == "running" else now()
        self.status |= {"state": state, "reason": reason, "cause": cause, "ended": ended}
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
