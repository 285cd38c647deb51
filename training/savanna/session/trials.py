"""Ray Tune's callback: turns its events into what a run directory holds."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune import Callback

from savanna.errors import SavannaError, explained
from savanna.jobs import phases
from savanna.metrics import TROUBLE, IterationResult
from savanna.recording import Console, MetricsCsv, Recorder
from savanna.runs.copier import Copier
from savanna.runs.directory import RunDirectory
from savanna.runs.notes import Inbox
from savanna.session.failure import explain_failure, what_is_kept
from savanna.session.films import keep_film
from savanna.session.metadata import now
from savanna.session.startup import STARTUP
from savanna.session.stopping import Stop, reached
from savanna.streams import say

LOOK_SECONDS = 1.0
"""Between two looks for what trials say beside their results."""


@dataclass
class TrialRecord:
    """What is known about one trial while it runs."""

    run: RunDirectory
    recorders: list[Recorder]
    stop: dict[str, float]
    copier: Copier | None = None
    reason: str | None = None  # why it stopped, if it did not fail
    fulfilled: bool = False  # a stop rule was reached
    told: str = ""  # the last news that was reported: "", "result", "checkpoint"
    failed: str | None = None  # why it cannot be recorded any longer
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


class RunRecording(Callback):
    """Records every trial of one `tune.run`.

    `open_record(trial)` makes a trial's run directory and everything in it. `started` is called
    with the times that a trial reports for its startup (see `savanna.session.startup`).
    """

    def __init__(
        self,
        open_record: Callable[[Any], TrialRecord],
        stop: Stop,
        started: Callable[[TrialRecord, dict[str, float]], None],
    ) -> None:
        self._open_record, self._stop, self._started = open_record, stop, started
        self._trials: Sequence[Any] = ()
        self._asked = False  # every trial was asked to end its iteration
        self._next_look = 0.0
        self.records: dict[str, TrialRecord] = {}

    def _record(self, trial: Any) -> TrialRecord:
        if trial.trial_id not in self.records:
            try:
                self.records[trial.trial_id] = self._open_record(trial)
            except OSError as error:
                raise SavannaError(f"cannot write {explained(error)}") from error
        return self.records[trial.trial_id]

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        self._trials = trials
        if self._stop.reason is not None and not self._asked:
            self._asked = True
            for record in self.records.values():
                with contextlib.suppress(OSError):
                    record.run.stop_request.touch()
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            for record in self.records.values():
                with self._loudly(record):
                    self._pass_on(record)

    def _pass_on(self, record: TrialRecord) -> None:
        """What the trial says, to the terminal and to those who ask for the job's state."""
        for text, problem in record.inbox.take():
            record.warn(f"{record.run.id}  {text}" if len(self.records) > 1 else text)
            phases.report("running", note=text if problem else "")

    @contextlib.contextmanager
    def _loudly(self, record: TrialRecord) -> Iterator[None]:
        """An error in the block ends the run after its next result, with a checkpoint: Tune would
        leave its trial behind."""
        try:
            yield
        except Exception as error:
            traceback.print_exc()
            if record.failed is None:
                what = str(error) or type(error).__name__
                record.failed = f"The run could not be recorded any longer: {what}."

    def none_is_left(self) -> bool:
        """Whether to drop the trials that wait for CPUs: a stop is requested, and none runs."""
        running = any(trial.status == "RUNNING" for trial in self._trials)
        return not running and self._stop.reason is not None

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._record(trial)

    def should_stop(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Tune calls this after every result, before `on_trial_result`."""
        record = self.records[trial_id]
        if TROUBLE in result:  # the trial saves itself, and fails with the cause
            return False
        with self._loudly(record):
            current = IterationResult.from_rllib(result)
            rule = reached(current, record.stop)
            record.fulfilled = rule is not None
            record.reason = rule or self._stop.reason
        return record.failed is not None or record.reason is not None

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        record = self._record(trial)
        with self._loudly(record):
            current = IterationResult.from_rllib(result)
            if not record.told:
                self._tell(record)
            if STARTUP in result:
                self._started(record, result[STARTUP])
            record.each(lambda recorder: recorder.record(current))
            if keep_film(record.run, result):
                _show(record.run)
            if "agent_steps_by_node" in result:
                record.run.write_json("nodes.json", result["agent_steps_by_node"])

    def on_checkpoint(
        self, iteration: int, trials: Any, trial: Any, checkpoint: Any, **info: Any
    ) -> None:
        record = self._record(trial)
        with self._loudly(record):
            if record.told == "result":
                self._tell(record)
            if record.copier is not None:
                record.copier.push_soon()

    def _tell(self, record: TrialRecord) -> None:
        kept = bool(record.run.checkpoints())
        record.told = "checkpoint" if kept else "result"
        name = f"{record.run.experiment}/{record.run.id}"
        phases.report("running", run=name, checkpoint=kept)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        with self._loudly(record):
            self._pass_on(record)
            text = Path(trial.error_file).read_text() if trial.error_file else ""
            cause = explain_failure(None, text, str(record.run.log), what_is_kept(record.run))
            record.write_status("failed", reason="ended by an error", cause=cause)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        with self._loudly(record):
            self._pass_on(record)
            record.inbox.close()
            if record.failed is not None:
                record.write_status("failed", "ended by an error", record.failed)


def _show(run: RunDirectory) -> None:
    """Rewrite the report with the newest film; a failed report never stops training."""
    from savanna.report import write_report

    try:
        write_report(run)
    except Exception as error:
        print(f"could not write the report: {error}", file=sys.stderr)


def raise_for_failures(records: dict[str, TrialRecord]) -> None:
    """`SavannaError` with the causes if any trial failed."""
    causes = [
        r.status["cause"] or r.status["reason"]
        for r in records.values()
        if r.status.get("state") == "failed"
    ]
    if causes:
        raise SavannaError("\n".join(causes))
