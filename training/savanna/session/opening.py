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

from savanna.recording import default_recorders
from savanna.runs.checkpoints import delete_unfinished
from savanna.runs.copier import Copier
from savanna.runs.directory import REFERENCES, RunDirectory
from savanna.runs.owner import Owner, own
from savanna.runs.resumption import Resumption
from savanna.session.log_file import LogFile
from savanna.session.metadata import collect_metadata, now
from savanna.session.plan import Plan
from savanna.session.request import TrainRequest
from savanna.session.trials import TrialRecord
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
    ) -> None:
        self._request, self._plan, self._log, self._copier = request, plan, log, copier
        self._resumed = resumption.run if resumption else None
        self._id = secrets.token_hex(8)
        self._stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        self._group = f"{self._stamp}-{secrets.token_hex(2)}"  # others may start in the same second
        self._claimed: dict[str, RunDirectory] = {}
        self._owners = [owner] if owner else []
        if self._resumed is not None:
            self._resumed.stop_request.unlink(missing_ok=True)  # of a command that was killed

    @property
    def folder(self) -> Path:
        """The folder with the run directories of this experiment."""
        if self._resumed is not None:
            return self._resumed.path.parent
        return (self._request.runs_root / self._plan.experiment.name).resolve()

    def name_of(self, trial: Any) -> str:
        """The name of the run directory claimed for a trial."""
        if self._resumed is not None:
            return self._resumed.id
        if trial.trial_id not in self._claimed:
            name = f"{self._stamp}-s{_drawn(trial).get('seed', self._plan.seed)}"
            if self._request.search:
                name = f"{name}-{len(self._claimed):03d}"
            self._claimed[trial.trial_id] = RunDirectory.claim(self.folder, name)
        return self._claimed[trial.trial_id].id

    def open(self, trial: Any) -> TrialRecord:
        """The record of a trial that starts now; sets the state of its run to `running`."""
        request, plan = self._request, self._plan
        run = RunDirectory(self.folder / self.name_of(trial))
        if self._resumed is None:
            self._owners.append(own(run.path))
        for owner in self._owners:
            owner.renew()
        delete_unfinished(run.path)
        # A resumed run's own root, wherever the command is called from.
        run.mark_latest(run.path.parent.parent)
        self._log.put_into(run)
        content = plan.content_with(_drawn(trial), self._group)
        run.write_json("config.json", content)
        if references := _references(content):
            run.write_json(REFERENCES, references)
        gpus = plan.content["resources"]["gpus"]
        metadata = collect_metadata(request.command, content["seed"], gpus, request.resume)
        run.write_json("metadata.json", metadata)
        recorders = default_recorders(content, stop=plan.stop, max_duration=request.max_duration)
        record = TrialRecord(run, recorders, dict(plan.stop), self._copier)
        before = run.status
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
        resumed = self._resumed is not None
        record.each(lambda recorder: recorder.start(run, content, resumed))
        if record.console is not None:
            record.console.stage("Building env runners and learner")
        return record

    def close(self) -> None:
        """Release the runs, and delete directories claimed for trials that never started."""
        for owner in self._owners:
            owner.release()
        for run in self._claimed.values():
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
