"""Opening a run: its directory, owner, first files and recorders."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from savanna.planning.plan import Plan
from savanna.planning.request import TrainRequest
from savanna.recording import default_recorders
from savanna.runs.checkpoints import delete_unfinished
from savanna.runs.copier import Copier
from savanna.runs.directory import REFERENCES, RunDirectory
from savanna.runs.owner import Owner, own
from savanna.runs.resumption import Resumption
from savanna.session.log_file import LogFile
from savanna.session.metadata import collect_metadata, now
from savanna.session.resumed_group import ResumedGroup
from savanna.session.retries import Retries
from savanna.session.trial_record import TrialRecord
from savanna.session.tune import DRAWN


class Opening:
    """Creates or continues the run of each trial of a session."""

    def __init__(
        self,
        request: TrainRequest,
        plan: Plan,
        resumption: Resumption | None,
        owner: Owner | None,
        log: LogFile,
        copier: Copier | None,
        group: ResumedGroup | None = None,
    ) -> None:
        self._request, self._plan, self._log, self._copier = request, plan, log, copier
        self._continued = group
        self._resumed = resumption.run if resumption else None
        self._id = secrets.token_hex(8)
        self._stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        # Others may start in the same second.
        self._group = group.name if group else f"{self._stamp}-{secrets.token_hex(2)}"
        self._runs: dict[str, RunDirectory] = {}  # of trials
        self._owners = ([owner] if owner else []) + [*(group.owners.values() if group else [])]
        if self._resumed is not None:
            self._resumed.stop_request.unlink(missing_ok=True)  # of a command that was killed

    @property
    def folder(self) -> Path:
        """The folder with the run directories of this experiment."""
        if self._resumed is not None:
            return self._resumed.path.parent
        return (self._request.runs_root / self._plan.experiment.name).resolve()

    def name_of(self, trial: Any) -> str:
        """The name of the run directory of a trial: one that it continues, or a new one."""
        if self._resumed is not None:
            return self._resumed.id
        if trial.trial_id not in self._runs:
            found = self._continued.take(_drawn(trial)) if self._continued else None
            self._runs[trial.trial_id] = found or self._claim(trial)
        return self._runs[trial.trial_id].id

    def _claim(self, trial: Any) -> RunDirectory:
        name = f"{self._stamp}-s{_drawn(trial).get('seed', self._plan.seed)}"
        if self._request.search:
            name = f"{name}-{len(self._runs):03d}"
        return RunDirectory.claim(self.folder, name)

    def is_done(self, trial: Any) -> bool:
        """Whether the run that a trial would continue has succeeded."""
        done = self._continued.done if self._continued else []
        return self._runs.get(trial.trial_id) in done

    def open(self, trial: Any) -> TrialRecord:
        """The record of a trial that starts now; sets the state of its run to `running`."""
        request, plan = self._request, self._plan
        run = RunDirectory(self.folder / self.name_of(trial))
        owner = next((o for o in self._owners if o.run == run.path), None)
        again = owner is not None
        if owner is None:
            owner = own(run.path)
            self._owners.append(owner)
        for each in self._owners:
            each.renew()
        delete_unfinished(run.path)
        # A resumed run's own root, wherever the command is called from.
        run.mark_latest(run.path.parent.parent)
        before = run.status
        if self._continued and run.log.exists():  # its own log stays, beside this command's
            run.log.replace(run.log.with_name(f"train-{before.get('session', 0)}.log"))
        self._log.put_into(run)
        content = plan.content_with(_drawn(trial), self._group)
        run.write_json("config.json", content)
        if references := _references(content):
            run.write_json(REFERENCES, references)
        gpus = plan.content["resources"]["gpus"]
        origin = request.resume or (f"{run.path.parent.name}/{run.id}" if again else None)
        metadata = collect_metadata(request.command, content["seed"], gpus, origin)
        run.write_json("metadata.json", metadata)
        recorders = default_recorders(content, stop=plan.stop, max_duration=request.max_duration)
        record = TrialRecord(
            run,
            recorders,
            dict(plan.stop),
            self._copier,
            Retries(plan.kept.max_failures),
            owner,
            self._group if plan.search else None,
        )
        record.status = {
            "started": before.get("started") or now(),
            "session": int(before.get("session", 0)) + 1,  # commands that have written to this run
            "started_by": self._id,  # this command; diverged copies of a run differ here
            "pid": os.getpid(),
            "host": socket.gethostname(),
        }
        record.write_status("running")
        if self._copier is not None:
            self._copier.add(run.path)
        record.each(lambda recorder: recorder.start(run, content, again))
        if record.console is not None:
            record.console.stage("Building env runners and learner")
        return record

    def close(self) -> None:
        """Release the runs, and delete directories made for trials that never started."""
        for owner in self._owners:
            owner.release()
        for run in self._runs.values():
            for folder in (run.path, run.path.parent):
                with contextlib.suppress(OSError):  # it is not empty
                    folder.rmdir()


def _drawn(trial: Any) -> dict[str, Any]:
    """What a search drew for this trial."""
    return dict(trial.config.get(DRAWN, {}))


def _references(content: dict[str, Any]) -> dict[str, float]:
    from savanna.envs.families import environment_of

    try:
        return environment_of(content).references()
    except Exception as error:  # not worth stopping training for
        print(f"no scripted references: {error}", file=sys.stderr)
        return {}
