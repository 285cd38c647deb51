"""Ray Tune's callback: turns its events into what a run directory holds."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ray.tune import Callback

from savanna.errors import SavannaError, explained
from savanna.metrics import IterationResult
from savanna.recording import Console, MetricsCsv, Recorder
from savanna.runs.copier import Copier
from savanna.runs.directory import RunDirectory
from savanna.session.failure import explain_failure, what_is_kept
from savanna.session.films import keep_film
from savanna.session.metadata import now
from savanna.session.startup import STARTUP
from savanna.session.stopping import Stop, reached
from savanna.streams import say


@dataclass
class TrialRecord:
    """What is known about one trial while it runs."""

    run: RunDirectory
    recorders: list[Recorder]
    stop: dict[str, float]
    copier: Copier | None = None
    reason: str | None = None  # why it stopped, if it did not fail
    fulfilled: bool = False  # a stop rule was reached
    told: str = ""  # the last news that `phase` got: "", "result", "checkpoint"
    status: dict[str, Any] = field(default_factory=dict)

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

    def warn(self, text: str) -> None:
        """Say it on the terminal, above the live line if there is one."""
        consoles = [recorder for recorder in self.recorders if isinstance(recorder, Console)]
        if consoles:
            consoles[0].message(text)
        else:
            say(text)


class RunRecording(Callback):
    """Records every trial of one `tune.run`.

    `open_record(trial)` makes a trial's run directory and everything in it. `phase` is called at
    the first result and the first checkpoint of every run, `started` with the times that a trial
    reports for its startup (see `savanna.session.startup`).
    """

    def __init__(
        self,
        open_record: Callable[[Any], TrialRecord],
        stop: Stop,
        phase: Callable[..., None],
        started: Callable[[TrialRecord, dict[str, float]], None],
    ) -> None:
        self._open_record, self._stop, self._phase = open_record, stop, phase
        self._started = started
        self._trials: Sequence[Any] = ()
        self._asked = False  # every trial was asked to end its iteration
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

    def none_is_left(self) -> bool:
        """Whether to drop the trials that wait for CPUs: a stop is requested, and none runs."""
        running = any(trial.status == "RUNNING" for trial in self._trials)
        return not running and self._stop.reason is not None

    def on_trial_start(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        self._record(trial)

    def should_stop(self, trial_id: str, result: dict[str, Any]) -> bool:
        """Tune calls this after every result, before `on_trial_result`."""
        record = self.records[trial_id]
        current = IterationResult.from_rllib(result)
        rule = reached(current, record.stop)
        record.fulfilled = rule is not None
        record.reason = rule or self._stop.reason
        return record.reason is not None

    def on_trial_result(
        self, iteration: int, trials: Any, trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        record = self._record(trial)
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
        if record.told == "result":
            self._tell(record)
        if record.copier is not None:
            record.copier.push_soon()

    def _tell(self, record: TrialRecord) -> None:
        kept = bool(record.run.checkpoints())
        record.told = "checkpoint" if kept else "result"
        name = f"{record.run.experiment}/{record.run.id}"
        self._phase("running", run=name, checkpoint=kept)

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        text = Path(trial.error_file).read_text() if trial.error_file else ""
        cause = explain_failure(None, text, str(record.run.log), what_is_kept(record.run))
        record.write_status("failed", reason="ended by an error", cause=cause)


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
