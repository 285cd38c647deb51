"""One call to Ray Tune and what surrounds it: from opening runs to their final states."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from operator import methodcaller

from savanna.errors import SavannaError
from savanna.jobs import phases
from savanna.next_command import next_command, resume_commands
from savanna.planning.plan import Plan
from savanna.planning.request import TrainRequest
from savanna.recording import Console
from savanna.runs.checkpoints import delete_unfinished
from savanna.runs.copier import Copier
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import Owner
from savanna.runs.resumption import Resumption, rewind
from savanna.session.after_training import AFTER, finish_all, show_group
from savanna.session.failure import in_short, what_is_kept
from savanna.session.log_file import LogFile
from savanna.session.opening import Opening
from savanna.session.resumed_group import ResumedGroup
from savanna.session.startup import Startup, as_text
from savanna.session.stopping import INTERRUPT, Stop
from savanna.session.trial_record import TrialRecord, still_ours
from savanna.session.trials import RunRecording, raise_for_failures
from savanna.streams import say


@dataclass
class Session:
    """The runs of one `savanna train`."""

    request: TrainRequest
    plan: Plan
    resumption: Resumption | None
    owner: Owner | None
    stop: Stop
    log: LogFile
    startup: Startup | None  # until it is noted
    group: ResumedGroup | None = None

    _cut_off = False  # training was interrupted, without a last checkpoint
    _unsaved: str | None = None

    def __post_init__(self) -> None:
        storage, log = self.request.storage, self.log
        self._copier = Copier(storage, self._warn) if storage else None
        self.opening = Opening(
            self.request, self.plan, self.resumption, self.owner, log, self._copier, self.group
        )
        self.recording = RunRecording(self.opening.open, self.stop, self._note_startup)
        self.stop.last_words = self.last_words

    @property
    def _records(self) -> list[TrialRecord]:
        return list(self.recording.records.values())

    def run(self) -> list[RunDirectory]:
        """Train. Leaves every run directory with its final status."""
        from savanna.session.tune import run_tune

        resumed = self.resumption
        if resumed and resumed.run and resumed.counters:
            rewind(resumed.run, resumed.counters)
        error: BaseException | None = None
        try:
            with self.stop.while_training():
                run_tune(self)
        except KeyboardInterrupt:
            self._cut_off = True
        except Exception as caught:  # Tune itself failed: the trials' files must still say so
            error = SavannaError(in_short(caught))
        for record in still_ours(self._records):
            record.run.stop_request.unlink(missing_ok=True)
        for record in self._records:
            if record.status.get("state") == "running":
                self._settle(record, error)
            if record.console is not None:
                record.console.finish(record.status)
        if error is not None:
            kept = [what_is_kept(record.run) for record in self._records]
            raise SavannaError(" ".join([f"training failed: {error}.", *kept])) from error
        return [record.run for record in self._records]

    def finish(self) -> None:
        """Evaluate, film and report, unless a signal has arrived. One that arrives now ends it."""
        runs, kept = [r.run for r in self._records], self.plan.kept
        try:
            if self.stop.signal is None and not self._cut_off:
                finish_all([r.run for r in still_ours(self._records)], kept)
            show_group([*dict.fromkeys([*(self.group.runs if self.group else []), *runs])], kept)
        except KeyboardInterrupt:
            if self.stop.signal is None:
                say(f"warning: {self.stop.reason}{self._how_to_resume()}")

    def close(self) -> None:
        """End recording and copying, now that films and reports exist."""
        problem = None
        try:
            for record in still_ours(self._records):
                record.recorders = [r for r in record.recorders if not isinstance(r, Console)]
                record.each(methodcaller("finish", record.status))
                if not self._cut_off:  # else the trial may still write one
                    delete_unfinished(record.run.path)
            self.opening.close()
            problem = self._copier.close() if self._copier else None
        except KeyboardInterrupt:
            self.opening.close()
            if self._copier:
                self._copier.abandon()
                problem = "interrupted"
        if problem is not None:
            paths = " ".join(str(r.run.path) for r in self._records)
            self._unsaved = (
                f"could not copy the latest results to {self.request.storage}: {problem}. "
                f"They are only in {paths}"
            )
            say(f"warning: {self._unsaved}")

    def conclude(self) -> None:
        """Raise the error that the command ends with, if any."""
        if self.stop.signal is not None or self._cut_off:
            raise self.stop.error(self._how_to_resume())
        raise_for_failures(self.recording.records)
        if not self._records:
            raise self.stop.error(self._how_to_resume())
        if self._unsaved is not None:
            raise SavannaError(self._unsaved)

    def _how_to_resume(self) -> str:
        """The rest of the message when a signal or the time limit has ended the command."""
        root, runs = self.request.runs_root, [r.run for r in self._records]
        if not runs:
            return ", before training began."
        stopped = [r.run for r in self._records if r.status.get("state") in ("stopped", "failed")]
        if not stopped:
            lines = [next_command(*words, run=run, root=root) for run in runs for words in AFTER]
            return _listed(", after training. Finish the rest with:", lines)
        when = ", before the last iterations were saved." if self._cut_off else "."
        lines = resume_commands(stopped, root)
        return when + (_listed(" Resume with:", lines) if lines else " There is no checkpoint yet.")

    def last_words(self) -> int:
        """The process is about to exit: write what the run directories must still say."""
        running = [r for r in self._records if r.status.get("state") == "running"]
        for record in running:
            self._settle(record, None)
        self.opening.close()
        if not (running or self._cut_off or self._copier):  # only MLflow may lack something
            return 0
        text = self.stop.error(f"{self._how_to_resume()} The process was killed.")
        phases.report("failed", cause=str(text), exit_code=1)
        say(f"savanna: {text}")
        return 1

    def _note_startup(self, record: TrialRecord, in_trial: dict[str, float]) -> None:
        """Write it to `metadata.json`, once: a search's later trials start while others train."""
        if self.startup is None:
            return
        seconds, self.startup = self.startup.seconds(in_trial), None
        record.run.write_json("metadata.json", record.run.metadata | {"startup": seconds})
        if self.request.debug:
            self._warn(as_text(seconds))

    def _warn(self, text: str) -> None:
        if self._records:
            self._records[0].warn(text)
        else:
            say(text)

    def _settle(self, record: TrialRecord, error: BaseException | None) -> None:
        if error is not None:
            record.write_status("failed", "Ray Tune failed", str(error))
        elif record.fulfilled:
            record.write_status("succeeded", record.reason or "")
        elif self.stop.failure is not None:
            record.write_status("failed", "ended by an error", self.stop.failure)
        elif self.stop.step >= INTERRUPT:
            reason = self.stop.reason or "interrupted"
            record.write_status("stopped", f"{reason}, without a last checkpoint")
        else:
            record.write_status("stopped", record.reason or self.stop.reason or "the trial ended")


def _listed(title: str, commands: Sequence[str]) -> str:
    between = "\n  " if len(commands) > 1 else " "
    return between.join([title, *commands])
