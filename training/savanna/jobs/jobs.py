"""The jobs of one cluster: submit, look, stop."""

from __future__ import annotations

import contextlib
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from savanna import __version__
from savanna.errors import SavannaError, UsageError
from savanna.jobs import phases
from savanna.jobs.client import JobExists, JobsClient, NoSuchFile, UnknownJob
from savanna.jobs.records import FOLDER, Record, load, load_all, new_id
from savanna.jobs.states import State, state_of
from savanna.jobs.watch import watch
from savanna.runs.owner import JOB

STOP_SECONDS = 60
"""From SIGTERM to SIGKILL: time to finish the iteration and write a checkpoint."""
KIND = "savanna"  # metadata key: "job" for what users submit, "helper" for our own


@dataclass(frozen=True)
class Job:
    """One job as it is now. Times are seconds since 1970."""

    id: str
    state: State
    experiment: str
    entrypoint: str
    started: float | None = None
    ended: float | None = None
    head: str | None = None  # Ray's id of the node with its log; `None` until it has one

    @property
    def seconds(self) -> float | None:
        """How long it took, or has taken so far; `None` if the start or end is unknown."""
        if self.started is None or (self.ended is None and self.state.terminal):
            return None
        return (self.ended or time.time()) - self.started


class Jobs:
    """The jobs of `client`'s cluster, with this folder's records of them."""

    def __init__(self, client: JobsClient, folder: Path = FOLDER) -> None:
        self.client, self.folder = client, folder

    @property
    def address(self) -> str:
        return self.client.cluster.address

    def submit(
        self,
        experiment: str,
        arguments: Sequence[str],
        files: Path | None = None,
        *,
        say: Callable[[str], None] = lambda _: None,
        patience: float = 60.0,
    ) -> str:
        """Start `savanna train <arguments>` on the head. Returns the id of the job.

        `files` is a folder whose content the job's processes can import. A head that has just
        started may not accept jobs yet: `submit` retries for up to `patience` seconds.
        """
        job = new_id(experiment)
        words = ["savanna", "train", *arguments, "--runs-root", self.client.cluster.results]
        environment: dict[str, Any] = {
            "env_vars": {JOB: job, "RAY_JOB_STOP_WAIT_TIME_S": str(STOP_SECONDS)}
        }
        if files is not None:
            environment["working_dir"] = str(files)
        entrypoint = shlex.join(words)
        # The record comes first, so that we know the job even if the head loses it immediately.
        submitted = datetime.now(UTC).isoformat(timespec="seconds")
        record = Record(job, self.address, experiment, entrypoint, submitted)
        record.save(self.folder)

        def send() -> None:
            # On a retry after a lost answer, the cluster already has the job.
            with contextlib.suppress(JobExists):
                self.client.submit_job(
                    entrypoint=entrypoint,
                    submission_id=job,
                    runtime_env=environment,
                    metadata={KIND: "job", "experiment": experiment, "version": __version__},
                )

        try:
            next(watch(send, say, patience=patience))
        except (RuntimeError, ValueError) as error:
            (self.folder / f"{job}.json").unlink(missing_ok=True)
            raise SavannaError(f"the cluster did not accept the job: {error}") from error
        return job

    def look(self, job: str) -> Job:
        """The current job. `UsageError` if neither side knows it."""
        record = load(job, self.folder)
        try:
            info = self.client.get_job_info(job)
            if (info.metadata or {}).get(KIND) != "job":
                raise UsageError(f"job {job} was not submitted with `savanna submit`.")
            return self._job(info, record)
        except UnknownJob:
            if record is None:
                raise UsageError(
                    f"no job {job!r} on the cluster {self.client.cluster.name}, and none was "
                    "submitted from this folder. `savanna status` lists the jobs."
                ) from None
            return _from_record(record)

    def all(self) -> list[Job]:
        """Every user job on the cluster, and this folder's jobs that it lost; newest first."""
        records = {r.id: r for r in load_all(self.folder)}
        found = {}
        for info in self.client.list_jobs():
            if (info.metadata or {}).get(KIND) == "job":
                found[info.submission_id] = self._job(info, records.get(info.submission_id))
        for record in records.values():
            if record.id not in found and record.cluster == self.address:
                found[record.id] = _from_record(record)
        return sorted(found.values(), key=lambda job: job.started or 0, reverse=True)

    def log(self, job: Job) -> Iterator[bytes]:
        """What a job has printed so far, in small parts."""
        if job.head is not None:
            with contextlib.suppress(NoSuchFile):
                yield from self.client.read_file(job.head, phases.LOG.format(job.id))

    def stop(self, job: str) -> None:
        """Ask the cluster to stop a job: SIGTERM, then SIGKILL after `STOP_SECONDS`."""
        self.client.stop_job(job)

    def _job(self, info: Any, record: Record | None) -> Job:
        status = str(getattr(info.status, "value", info.status))
        state = record.final_state if record is not None else None
        if state is None:
            said = self._said(info.submission_id, info.driver_node_id)
            state = state_of(status, said, message=info.message, exit_code=info.driver_exit_code)
        if record is not None:
            final = state.as_dict() if state.terminal else None
            names = ("run", "resumable", "workers", "group")
            now = replace(record, final=final, **{name: getattr(state, name) for name in names})
            if now != record:
                now.save(self.folder)
        return Job(
            id=info.submission_id,
            state=state,
            experiment=info.metadata.get("experiment", "-"),
            entrypoint=info.entrypoint,
            started=info.start_time / 1000 if info.start_time else None,
            ended=info.end_time / 1000 if info.end_time and state.terminal else None,
            head=info.driver_node_id,
        )

    def _said(self, job: str, head: str | None) -> list[dict[str, Any]]:
        """The phases that a job has reported, from a file that is small even if its log is not."""
        if head is None:
            return []
        try:
            parts = self.client.read_file(head, phases.FILE.format(job), phases.LINES)
            return phases.read(b"".join(parts).decode())
        except NoSuchFile:
            return []


def _from_record(record: Record) -> Job:
    """A job that the cluster does not know: as last seen if it had ended, else lost."""
    known = [
        {
            "phase": "running",
            "run": record.run,
            "checkpoint": record.resumable,
            "workers": record.workers,
            "group": record.group,
        }
    ]
    return Job(
        id=record.id,
        state=record.final_state or state_of(None, known if record.run else []),
        experiment=record.experiment,
        entrypoint=record.entrypoint,
        started=datetime.fromisoformat(record.submitted).timestamp(),
    )
