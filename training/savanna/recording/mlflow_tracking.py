"""MLflow tracking that training never waits for.

Everything is queued and sent by one background thread, which also imports MLflow (seconds). It
starts with the first result, so that the start of a run stays quick. A store that cannot be
reached costs one warning; the thread tries again now and then, and `metrics.csv` has it all.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savanna.metrics import IterationResult
from savanna.recording.mlflow_store import (
    ALIASES,
    EXPERIMENT_TAGS,
    artifacts_of,
    default_uri,
    open_store,
    parameters,
    public_uri,
    tags,
)
from savanna.runs.directory import RunDirectory

if TYPE_CHECKING:
    from mlflow.entities import Metric
    from mlflow.tracking import MlflowClient

METRICS_PER_BATCH = 1000
PARAMETERS_PER_BATCH = 100
"""Limits of MLflow's `log_batch`."""

RUN_STATUS = {"succeeded": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
_NICENESS = 10
_LOCAL_PATIENCE = 120.0  # seconds


class MlflowTracking:
    """Sends a run to `MLFLOW_TRACKING_URI`, or to `mlflow.db` in the runs folder.

    `warn` gets the one line that says that tracking fails. `flush_seconds` is the time between
    two batches, `retry_seconds` the pause after a failure, `patience` the longest that `finish`
    waits.
    """

    def __init__(
        self,
        warn: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
        *,
        flush_seconds: float = 5.0,
        retry_seconds: float = 30.0,
        patience: float = 10.0,
    ) -> None:
        self._warn = warn
        self._flush_seconds, self._retry_seconds = flush_seconds, retry_seconds
        self._patience = patience
        self._warned = False
        self._pending: deque[tuple[int, IterationResult]] = deque()  # (milliseconds, result)
        self._status: dict[str, Any] | None = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: MlflowClient | None = None
        self._run_id = ""
        self._film: Path | None = None  # the newest one sent

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        self._run, self._config = run, config
        self._began = _milliseconds()
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(run)

    def record(self, result: IterationResult) -> None:
        self._pending.append((_milliseconds(), result))
        self._start_thread()

    def finish(self, status: dict[str, Any]) -> None:
        self._status = status
        self._start_thread()
        self._wake.set()
        if self._thread is not None:
            _yield_no_longer(self._thread)
            # A file answers, however busy the machine is.
            local = self._uri.startswith("sqlite:")
            patience = max(self._patience, _LOCAL_PATIENCE) if local else self._patience
            self._thread.join(patience)
            if self._thread.is_alive():
                self._fail(TimeoutError(f"no answer within {patience:g} s at the end"))

    def _start_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        _yield_to_training()
        while True:
            last_time = self._status is not None
            pause = self._flush_seconds
            try:
                self._send_pending()
                self._send_film()
                if last_time:
                    self._close()
            except Exception as error:  # whatever a store or plugin raises: training goes on
                self._fail(error)
                pause = self._retry_seconds
            if last_time:
                return
            self._wake.wait(pause)

    def _send_pending(self) -> None:
        client = self._client or self._open()
        while self._pending:
            metrics: list[Metric] = []
            count = 0
            for at, result in self._pending:
                entries = _metrics_of(at, result)
                if len(metrics) + len(entries) > METRICS_PER_BATCH:
                    break
                metrics += entries
                count += 1
            client.log_batch(self._run_id, metrics=metrics)
            for _ in range(count):
                self._pending.popleft()

    def _send_film(self) -> None:
        """The newest film, where it is another than before."""
        films = sorted(self._run.videos.glob("*.mp4"), key=lambda film: film.stat().st_mtime_ns)
        if self._client is None or not films or films[-1] == self._film:
            return
        self._client.log_artifact(self._run_id, str(films[-1]), "videos")
        self._film = films[-1]

    def _open(self) -> MlflowClient:
        """Import MLflow, find or create the MLflow run, describe it."""
        client = open_store(self._uri)
        from mlflow.entities import Param, RunTag

        described = tags(self._run, self._config)
        run_id, known = self._earlier_run(client)
        if not run_id:
            experiment = _experiment_id(client, self._run, self._uri)
            created = client.create_run(
                experiment, start_time=self._began, tags=described, run_name=self._run.id
            )
            run_id = created.info.run_id
            self._run.write_json("mlflow.json", {"run_id": run_id, "uri": public_uri(self._uri)})
        self._run_id = run_id
        # A parameter can be written once only.
        new = [Param(k, v) for k, v in parameters(self._config).items() if k not in known]
        for begin in range(0, len(new), PARAMETERS_PER_BATCH):
            client.log_batch(run_id, params=new[begin : begin + PARAMETERS_PER_BATCH])
        if known:
            client.log_batch(run_id, tags=[RunTag(k, v) for k, v in described.items()])
        self._client = client
        return client

    def _earlier_run(self, client: MlflowClient) -> tuple[str, dict[str, str]]:
        """Id and parameters of the MLflow run to go on with; an empty id where there is none.

        There is one when the run is resumed, and when an earlier try to open it failed half-way.
        """
        stored = self._run.read_json("mlflow.json")
        if not stored.get("run_id") or stored.get("uri") != public_uri(self._uri):
            return "", {}
        from mlflow.exceptions import MlflowException

        try:
            earlier = client.get_run(stored["run_id"])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return "", {}  # deleted in the meantime: begin a new one
        client.update_run(earlier.info.run_id, status="RUNNING")
        return earlier.info.run_id, dict(earlier.data.params)

    def _close(self) -> None:
        if self._client is None or self._status is None:
            return
        state = str(self._status.get("state", "failed"))
        for name in ("state", "reason", "cause"):
            if self._status.get(name):
                self._client.set_tag(self._run_id, f"savanna.{name}", str(self._status[name]))
        self._client.set_terminated(self._run_id, RUN_STATUS.get(state, "FAILED"))
        for file in artifacts_of(self._run):
            self._client.log_artifact(self._run_id, str(file))

    def _fail(self, error: BaseException) -> None:
        if self._warned:
            return
        self._warned = True
        uri = public_uri(self._uri)
        lines = str(error).replace(self._uri, uri).splitlines()
        cause = (lines[0] if lines else type(error).__name__)[:200]
        self._warn(f"MLflow tracking at {uri} does not work: {cause} (training goes on)")


def _metrics_of(at: int, result: IterationResult) -> list[Metric]:
    from mlflow.entities import Metric

    row = result.as_row()
    row |= {alias: row[name] for alias, name in ALIASES.items()}
    step = result.agent_steps
    return [Metric(k, float(v), at, step) for k, v in row.items() if math.isfinite(v)]


def _experiment_id(client: MlflowClient, run: RunDirectory, uri: str) -> str:
    name = run.experiment
    known = client.get_experiment_by_name(name)
    if known is None:
        if uri != default_uri(run):
            return str(client.create_experiment(name))
        # Our own file keeps the artifacts beside itself, and opens in the view for training.
        place = (run.path.parent.parent / "mlartifacts" / name).as_uri()
        return str(client.create_experiment(name, artifact_location=place, tags=EXPERIMENT_TAGS))
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    return str(known.experiment_id)


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _yield_to_training() -> None:
    """Let this thread have only the CPU time that nobody else wants (Linux: per thread)."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def _yield_no_longer(thread: threading.Thread) -> None:
    """Give it the priority of the thread that waits for it, where the system allows that."""
    if sys.platform == "linux" and thread.native_id is not None:
        with contextlib.suppress(OSError):  # not for an ordinary user, or it has just ended
            os.setpriority(os.PRIO_PROCESS, thread.native_id, os.getpriority(os.PRIO_PROCESS, 0))
