"""One call to Ray Tune and what surrounds it: from opening runs to their final states."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from savanna.errors import Interrupted, SavannaError
from savanna.jobs import phases
from savanna.next_command import resume_commands
from savanna.recording import Console, Recorder
from savanna.runs.copier import Copier
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import Owner
from savanna.runs.resumption import Resumption, rewind
from savanna.session.log_file import LogFile
from savanna.session.opening import Opening
from savanna.session.plan import Plan
from savanna.session.request import TrainRequest
from savanna.session.startup import Startup, as_text
from savanna.session.stopping import StopRequest, hard_limit
from savanna.session.trials import RunRecording, TrialRecord, raise_for_failures


class Session:
    """The runs of one `savanna train`."""

    def __init__(
        self,
        request: TrainRequest,
        plan: Plan,
        resumption: Resumption | None,
        owner: Owner | None,
        stop_request: StopRequest,
        terminal: TextIO,
        log: LogFile,
        startup: Startup,
    ) -> None:
        self.request, self.plan, self.resumption = request, plan, resumption
        self.stop_request, self.terminal = stop_request, terminal
        self._startup: Startup | None = startup
        self._copier = Copier(request.storage, self._warn) if request.storage else None
        self.opening = Opening(request, plan, resumption, owner, log, self._copier, terminal)
        self.recording = RunRecording(
            self.opening.open, stop_request, self._phase, self._note_startup
        )
        self._unsaved: str | None = None

    @property
    def _records(self) -> list[TrialRecord]:
        return list(self.recording.records.values())

    def run(self, began: float) -> list[RunDirectory]:
        """Train. Leaves every run directory with its final status.

        `began`: when the command started, on the monotonic clock.
        """
        from savanna.session.tune import run_tune

        continued = self.resumption.run if self.resumption else None
        if continued is not None and self.resumption and self.resumption.counters:
            aside = rewind(continued, self.resumption.counters)
            if aside:
                print(aside, file=self.terminal, flush=True)
        error: BaseException | None = None
        with hard_limit(began, self.request.max_duration, self._last_words):
            try:
                run_tune(self)
            except Exception as caught:  # Tune itself failed: the trials' files must still say so
                error = caught
        for record in self._records:
            if record.status.get("state") == "running":
                _settle(record, error)
            for console in _consoles(record):
                console.finish(record.status)
        if error is not None:
            raise SavannaError(f"training failed: {error}") from error
        return [record.run for record in self._records]

    def close(self, say: Callable[[str], None]) -> None:
        """End recording and copying, now that films and reports exist."""
        for record in self._records:
            record.recorders = [r for r in record.recorders if not isinstance(r, Console)]
            record.each(partial(_finish, status=record.status))
        self.opening.close()
        problem = self._copier.close() if self._copier else None
        if problem is not None:
            paths = " ".join(str(r.run.path) for r in self._records)
            self._unsaved = (
                f"could not copy the latest results to {self.request.storage}: {problem}. "
                f"They are only in {paths}"
            )
            say(f"warning: {self._unsaved}")

    def conclude(self) -> None:
        """Raise the error that the command ends with, if any."""
        if self.stop_request.signal is not None:
            lines = resume_commands([r.run for r in self._records], self.request.runs_root)
            between = "\n  " if len(lines) > 1 else " "
            how = between.join(["Resume with:", *lines]) if lines else "No checkpoint yet."
            why = f"Stopped: {self.stop_request.reason}."
            raise Interrupted(f"{why} {how}", self.stop_request.signal)
        raise_for_failures(self.recording.records)
        if not self._records:
            raise SavannaError(f"{self.stop_request.reason} before a run could start.")
        if self._unsaved is not None:
            raise SavannaError(self._unsaved)

    def _note_startup(self, record: TrialRecord, in_trial: dict[str, float]) -> None:
        """Write it to `metadata.json`, once: a search's later trials start while others train."""
        if self._startup is None:
            return
        seconds, self._startup = self._startup.seconds(in_trial), None
        record.run.write_json("metadata.json", record.run.metadata | {"startup": seconds})
        if self.request.debug:
            self._warn(as_text(seconds))

    def _warn(self, text: str) -> None:
        for record in self._records:
            for console in _consoles(record):
                console.message(text)
                return
        print(text, file=self.terminal, flush=True)

    def _phase(self, name: str, **details: Any) -> None:
        phases.report(name, self.terminal, **details)

    def _last_words(self) -> None:
        self._phase("failed", cause="the hard time limit was reached", exit_code=1)
        for record in self._records:
            if record.status.get("state") == "running":
                record.write_status("failed", "the hard time limit was reached")


def _settle(record: TrialRecord, error: BaseException | None) -> None:
    if error is not None:
        record.write_status("failed", "Ray Tune failed", str(error))
    elif record.fulfilled:
        record.write_status("succeeded", record.reason or "")
    else:
        record.write_status("stopped", record.reason or "the trial ended")


def _consoles(record: TrialRecord) -> list[Console]:
    return [recorder for recorder in record.recorders if isinstance(recorder, Console)]


def _finish(recorder: Recorder, status: dict[str, Any]) -> None:
    recorder.finish(status)
