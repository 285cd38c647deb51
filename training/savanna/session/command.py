"""`train`: the whole of one `savanna train` command."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from savanna.errors import Interrupted, SavannaError, UsageError
from savanna.experiments import Machine, get_experiment
from savanna.jobs import phases
from savanna.next_command import resume_commands
from savanna.recording import Console, Recorder, default_recorders
from savanna.runs.directory import REFERENCES, RunDirectory
from savanna.runs.mirror import Mirror
from savanna.runs.resumption import Resumption, rewind
from savanna.runs.storage import Storage, chosen_storage, open_storage, shared_key
from savanna.runs.stored import find_anywhere, is_local
from savanna.session.after_training import finish_all, show_group
from savanna.session.checks import check_early
from savanna.session.log_file import quiet
from savanna.session.machine import this_machine
from savanna.session.metadata import collect_metadata, now
from savanna.session.networks import check_networks
from savanna.session.plan import Plan, make_plan
from savanna.session.ray_runtime import (
    address_of,
    joined_machine,
    joined_ray,
    machine_at,
    own_ray,
    prepare,
)
from savanna.session.request import TrainRequest
from savanna.session.resumed_settings import with_saved_settings
from savanna.session.startup import Startup, as_text
from savanna.session.stopping import StopRequest, handle_signals, hard_limit
from savanna.session.trainable import DRAWN
from savanna.session.workers import await_workers, count_workers


def dry_run(request: TrainRequest) -> dict[str, Any]:
    """`Plan.shown` of the request's plan. Starts no Ray and trains nothing."""
    with tempfile.TemporaryDirectory() as folder:
        resumption = None
        if request.resume:
            here = is_local(request.resume, request.runs_root)
            location = chosen_storage(request.storage)
            root = request.runs_root if here or location is None else Path(folder)
            resumption, _ = find_anywhere(request.resume, root, location)
        request = with_saved_settings(request, resumption)
        check_early(request)
        address = address_of(request.address)
        with quiet(Path(folder) / "log"):
            algorithm = get_experiment(request.experiment).algorithm
            if address is None:
                machine = this_machine()
                prepare(algorithm, None, machine.gpus)
            else:
                prepare(algorithm, address)
                machine = machine_at(address)
            return _plan(request, resumption, machine).shown()


def _plan(request: TrainRequest, resumption: Resumption | None, machine: Machine) -> Plan:
    """The plan of the request, which fits the machine and what it resumes, or `UsageError`."""
    plan = make_plan(request, machine)
    if resumption is not None:
        check_networks(resumption, plan)
    return plan


def train(request: TrainRequest) -> RunDirectory:
    """Train, evaluate the kept checkpoints, film and report; the (last) run's directory.

    Raises:
        UsageError: something asked for is wrong or impossible; nothing was started.
        Interrupted: a signal came; the run was stopped with a checkpoint.
        SavannaError: the run failed; its cause is the message, its directory holds all there is.
    """
    began, startup = time.monotonic(), Startup()
    resumption, storage = None, None
    if request.resume:
        location = chosen_storage(request.storage)
        resumption, storage = find_anywhere(request.resume, request.runs_root, location)
    request = with_saved_settings(request, resumption)
    check_early(request)
    if request.storage and storage is None:
        storage = open_storage(request.storage)
    address = address_of(request.address)
    if request.workers and not address:
        raise UsageError("--workers waits for nodes of a cluster: name it with --address.")
    stop_request = StopRequest(began, request.max_duration)
    with _log_file(request, resumption) as log, quiet(log) as terminal:

        def say(text: str) -> None:
            print(text, file=terminal, flush=True)

        def stopping(text: str) -> None:
            phases.report("stopping", terminal)
            say(text)

        with handle_signals(stop_request, stopping), contextlib.ExitStack() as stack:
            algorithm = get_experiment(request.experiment).algorithm
            if address is None:
                say("Starting Ray ...")
                machine = this_machine()
                prepare(algorithm, None, machine.gpus)
                startup.ended("imports")
                plan = _plan(request, resumption, machine)
                startup.ended("plan")
                # Libraries of remote storages have threads and connections, which no fork survives.
                stack.enter_context(own_ray(machine, fork=storage is None))
            else:
                say("Joining the Ray cluster ...")
                prepare(algorithm, address)
                startup.ended("imports")
                stack.enter_context(joined_ray(address))
                await_workers(request, stop_request, terminal, stopping)
                plan = _plan(request, resumption, joined_machine())
            stack.enter_context(shared_key(storage))
            # Once more: starting Ray sets a handler of its own for SIGTERM.
            stack.enter_context(handle_signals(stop_request, stopping))
            phases.report("starting", terminal, workers=count_workers())
            for note in plan.notes:
                say(note)
            startup.ended("ray")
            session = _Session(
                request, plan, resumption, storage, stop_request, began, terminal, log, startup
            )
            try:
                runs = session.run()
            except BaseException:
                session.close(say)
                raise
            if stop_request.signal is None:
                finish_all(runs, plan.kept, say)
            else:
                show_group(runs, plan.kept, say)
            session.close(say)
        session.conclude()
    return runs[-1]


class _Session:
    """One `tune.run` and what surrounds it."""

    def __init__(
        self,
        request: TrainRequest,
        plan: Plan,
        resumption: Resumption | None,
        storage: Storage | None,
        stop_request: StopRequest,
        began: float,
        terminal: TextIO,
        log: Path,
        startup: Startup,
    ) -> None:
        from savanna.session.trials import RunRecording

        self.request, self.plan, self.resumption = request, plan, resumption
        self.storage, self.stop_request, self.began = storage, stop_request, began
        self.terminal, self.log = terminal, log
        self._startup: Startup | None = startup
        self.recording = RunRecording(
            self._open_record, stop_request, self._phase, self._note_startup
        )
        self._stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._group = f"{self._stamp}-{secrets.token_hex(2)}"  # others may start in that second
        self._names: dict[str, str] = {}
        self._mirror = Mirror(storage, self._warn) if storage else None
        self._unsaved: str | None = None

    def run(self) -> list[RunDirectory]:
        """Train. Leaves every run directory with its final status."""
        from savanna.session.tune import run_tune

        continued = self.resumption.run if self.resumption else None
        if continued is not None and self.resumption and self.resumption.counters:
            aside = rewind(continued, self.resumption.counters)
            if aside:
                print(aside, file=self.terminal, flush=True)
        error: BaseException | None = None
        with hard_limit(self.began, self.request.max_duration, self._last_words):
            try:
                run_tune(self)
            except Exception as caught:  # Tune itself failed: the trials' files must still say so
                error = caught
        for record in self.recording.records.values():
            if record.status.get("state") == "running":
                self._settle(record, error)
            for console in (r for r in record.recorders if isinstance(r, Console)):
                console.finish(record.status)
        if error is not None:
            raise SavannaError(f"training failed: {error}") from error
        return [record.run for record in self.recording.records.values()]

    def close(self, say: Callable[[str], None]) -> None:
        """End the recorders and copies, now that films and reports are there to be taken along."""
        for record in self.recording.records.values():
            record.recorders = [r for r in record.recorders if not isinstance(r, Console)]
            record.each(partial(_finish, status=record.status))
        problem = self._mirror.close() if self._mirror else None
        if problem is not None:
            paths = " ".join(str(r.run.path) for r in self.recording.records.values())
            self._unsaved = (
                f"the last results could not be copied to {self.request.storage}: {problem}. "
                f"Results are only in {paths}"
            )
            say(f"warning: {self._unsaved}")

    def conclude(self) -> None:
        """Raise what the command ends with, if it is not success."""
        from savanna.session.trials import raise_for_failures

        if self.stop_request.signal is not None:
            records = list(self.recording.records.values())
            lines = resume_commands([r.run for r in records], self.request.runs_root)
            between = "\n  " if len(lines) > 1 else " "
            how = between.join(["Go on with:", *lines]) if lines else "No checkpoint yet."
            why = f"Stopped: {self.stop_request.reason}."
            raise Interrupted(f"{why} {how}", self.stop_request.signal)
        raise_for_failures(self.recording.records)
        if self._unsaved is not None:
            raise SavannaError(self._unsaved)

    def name_of(self, trial: Any) -> str:
        """The name of a trial's run directory."""
        if self.resumption and self.resumption.run:
            return self.resumption.run.id
        if trial.trial_id not in self._names:
            base = f"{self._stamp}-s{self.drawn(trial).get('seed', self.plan.seed)}"
            if self.request.search:
                base = f"{base}-{len(self._names):03d}"
            folder, name, attempt = self.folder, base, 1
            while (folder / name).exists():
                attempt += 1
                name = f"{base}-{attempt}"
            self._names[trial.trial_id] = name
        return self._names[trial.trial_id]

    @property
    def folder(self) -> Path:
        """Where the run directories of this experiment lie."""
        if self.resumption and self.resumption.run:
            return self.resumption.run.path.parent
        return (self.request.runs_root / self.plan.experiment.name).resolve()

    def _open_record(self, trial: Any) -> Any:
        from savanna.session.trials import TrialRecord

        request, plan = self.request, self.plan
        resumed = self.resumption is not None and self.resumption.run is not None
        run = RunDirectory(self.folder / self.name_of(trial))
        run.path.mkdir(parents=True, exist_ok=True)
        run.mark_latest(request.runs_root)
        if self.log.resolve() != run.log.resolve():
            run.log.unlink(missing_ok=True)
            os.link(self.log, run.log)
        content = plan.content_with(self.drawn(trial), self._group)
        run.write_json("config.json", content)
        if plan.experiment.particle:
            run.write_json(REFERENCES, _references(content))
        origin = request.resume if self.resumption else None
        gpus = plan.content["resources"]["gpus"]
        metadata = collect_metadata(request.command, content["seed"], gpus, origin)
        run.write_json("metadata.json", metadata)
        recorders = default_recorders(
            content, stop=plan.stop, max_duration=request.max_duration, stream=self.terminal
        )
        record = TrialRecord(run, recorders, dict(plan.stop), self._mirror)
        started = run.status.get("started") if resumed else None
        record.status = {
            "started": started or now(),
            "pid": os.getpid(),
            "host": socket.gethostname(),
        }
        record.write_status("running")
        if self._mirror is not None:
            self._mirror.add(run, plan.experiment.name, checkpoints=resumed)
        record.each(lambda recorder: recorder.start(run, content, resumed))
        for recorder in recorders:
            if isinstance(recorder, Console):
                recorder.stage("Building env runners and learner")
        return record

    def _note_startup(self, record: Any, in_trial: dict[str, float]) -> None:
        """Into `metadata.json`, once: a search's later trials start while others train."""
        if self._startup is None:
            return
        seconds, self._startup = self._startup.seconds(in_trial), None
        record.run.write_json("metadata.json", record.run.metadata | {"startup": seconds})
        if self.request.debug:
            self._warn(as_text(seconds))

    def drawn(self, trial: Any) -> dict[str, Any]:
        """What the search drew for this trial."""
        return dict(trial.config.get(DRAWN, {}))

    def _settle(self, record: Any, error: BaseException | None) -> None:
        if error is not None:
            record.write_status("failed", "Ray Tune failed", str(error))
        elif record.fulfilled:
            record.write_status("succeeded", record.reason)
        else:
            record.write_status("stopped", record.reason or "the trial ended")

    def _warn(self, text: str) -> None:
        for record in self.recording.records.values():
            for console in (r for r in record.recorders if isinstance(r, Console)):
                console.message(text)
                return
        print(text, file=self.terminal, flush=True)

    def _phase(self, name: str, **details: Any) -> None:
        phases.report(name, self.terminal, **details)

    def _last_words(self) -> None:
        self._phase("failed", cause="the hard time limit was reached", exit_code=1)
        for record in self.recording.records.values():
            if record.status.get("state") == "running":
                record.write_status("failed", "the hard time limit was reached")


def _references(content: dict[str, Any]) -> dict[str, float]:
    from savanna.evaluation.references import measure_references

    try:
        return measure_references(content)
    except Exception as error:  # worth less than the training it is compared with
        print(f"no scripted references: {error}", file=sys.stderr)
        return {}


def _finish(recorder: Recorder, status: dict[str, Any]) -> None:
    recorder.finish(status)


@contextlib.contextmanager
def _log_file(request: TrainRequest, resumption: Resumption | None) -> Iterator[Path]:
    """The log to write from the first moment on; it is linked into the run's directory later."""
    if resumption and resumption.run:
        yield resumption.run.log
        return
    folder = request.runs_root
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".log-", dir=folder)
    except OSError as error:
        raise UsageError(f"cannot write to --runs-root {folder}: {error.strerror}") from error
    os.close(handle)
    log = Path(name)
    log.chmod(0o644)
    try:
        yield log
    finally:
        if log.stat().st_nlink == 1 and sys.exc_info()[0] not in (None, UsageError):
            print(f"savanna: details in {log}", file=sys.stderr)
        else:
            log.unlink()
