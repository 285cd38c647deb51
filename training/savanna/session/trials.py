"""Ray Tune's callback: turns its events into what a run directory holds."""

from __future__ import annotations

import contextlib
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from ray.tune import Callback

from savanna.errors import GaveUp, SavannaError, explained
from savanna.jobs import phases
from savanna.metrics import TROUBLE, IterationResult
from savanna.recording import MetricsCsv, TensorBoardEvents
from savanna.runs.directory import RunDirectory
from savanna.runs.resumption import go_back
from savanna.session.failure import cause_of, last_failure, what_is_kept
from savanna.session.films import keep_film
from savanna.session.startup import STARTUP
from savanna.session.stopping import Stop, reached
from savanna.session.trial_record import TrialRecord, still_ours

LOOK_SECONDS = 1.0
"""Between two looks for what trials say beside their results."""


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
        record = self.records[trial.trial_id]
        record.check_owner()
        return record

    def on_step_begin(self, iteration: int, trials: Any, **info: Any) -> None:
        self._trials = trials
        if self._stop.reason is not None and not self._asked:
            self._asked = True
            for record in still_ours(self.records.values()):
                with contextlib.suppress(OSError):
                    record.run.stop_request.touch()
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_SECONDS
            for record in still_ours(self.records.values()):
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
        record.check_owner()
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
        if record.lost:
            return
        with self._loudly(record):
            current = IterationResult.from_rllib(result)
            if TROUBLE not in result:
                record.retries.progressed(current.agent_steps)
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
        if record.lost:
            return
        with self._loudly(record):
            if record.told == "result":
                self._tell(record)
            if record.copier is not None:
                record.copier.push_soon()

    def _tell(self, record: TrialRecord) -> None:
        kept = bool(record.run.checkpoints())
        record.told = "checkpoint" if kept else "result"
        name = f"{record.run.experiment}/{record.run.id}"
        group = {"group": record.group} if record.group else {}
        phases.report("running", run=name, checkpoint=kept, **group)

    def may_try_again(self, trial: Any) -> bool:
        """Tune asks this after every failure of a trial, before it acts on it."""
        record = self._record(trial)
        if record.lost:
            return False
        with self._loudly(record):
            self._pass_on(record)
            text = last_failure(Path(trial.error_file).read_text()) if trial.error_file else ""
            cause = cause_of(text, str(record.run.log))
            refused = record.retries.refused(cause, text)
            record.cause = " ".join(filter(None, [cause, refused]))
            ending = record.failed is not None or self._stop.reason is not None
            return refused is None and not ending
        return False

    def on_trial_recover(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        """The trial waits to be started again: its run goes back to where that will begin."""
        record = self._record(trial)
        with self._loudly(record):
            for recorder in record.recorders:
                if isinstance(recorder, (MetricsCsv, TensorBoardEvents)):
                    recorder.finish({})
                    recorder.start(record.run, {}, True)
            start = go_back(record.run)
            which = record.retries.begin(start.agent_steps)
            record.warn(
                f"{record.run.id} failed with: {record.cause.removesuffix('.')}; trying again "
                f"({which}) from iteration {start.iteration}."
            )
            record.cause = ""

    def on_trial_error(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        with self._loudly(record):
            cause = record.cause or "Ray Tune could not start it."
            cause = f"{cause} Details are in {record.run.log}."
            whole = f"{record.failed if record.lost else cause} {what_is_kept(record.run)}"
            record.write_status("failed", reason="ended by an error", cause=whole)

    def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **info: Any) -> None:
        record = self._record(trial)
        with self._loudly(record):
            if not record.lost:
                self._pass_on(record)
                record.inbox.close()
            if record.failed is not None:
                cause = f"{record.failed} {what_is_kept(record.run)}"
                record.write_status("failed", "ended by an error", cause)


def _show(run: RunDirectory) -> None:
    """Rewrite the report with the newest film; a failed report never stops training."""
    from savanna.report import write_report

    try:
        write_report(run)
    except Exception as error:
        print(f"could not write the report: {error}", file=sys.stderr)


def raise_for_failures(records: dict[str, TrialRecord]) -> None:
    """`SavannaError` with the causes if any trial failed; `GaveUp` if they would fail again."""
    failed = [r for r in records.values() if r.status.get("state") == "failed"]
    if failed:
        for_good = all(r.retries.for_good or r.failed is not None for r in failed)
        causes = "\n".join(r.status["cause"] or r.status["reason"] for r in failed)
        raise GaveUp(causes) if for_good else SavannaError(causes)
