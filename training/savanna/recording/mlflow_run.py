"""One run in an MLflow store: create or find it, describe it, send results, end it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from savanna.metrics import IterationResult
from savanna.recording.mlflow_database import ARTIFACTS_FOLDER
from savanna.recording.mlflow_store import (
    ALIASES,
    EXPERIMENT_TAGS,
    default_uri,
    import_mlflow,
    is_server,
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

P = ParamSpec("P")
T = TypeVar("T")


class MlflowRun:
    """The MLflow run of `run` at `uri`; `began` in milliseconds.

    `answers` counts the store's answers. `waits_for_server`: MLflow is imported and the store is a
    server, whose answers we wait for.
    """

    def __init__(self, run: RunDirectory, config: dict[str, Any], uri: str, began: int) -> None:
        self._run, self._config, self._uri, self._began = run, config, uri, began
        self._opened: tuple[MlflowClient, str] | None = None
        self.answers = 0
        self.waits_for_server = False

    def log(self, results: Sequence[tuple[int, IterationResult]]) -> int:
        """Send the first of `results`, with their times in milliseconds. Returns how many."""
        client, run_id = self._open()
        metrics: list[Metric] = []
        count = 0
        for at, result in results:
            entries = _metrics_of(at, result)
            if len(metrics) + len(entries) > METRICS_PER_BATCH:
                break
            metrics += entries
            count += 1
        if metrics:
            self._ask(client.log_batch, run_id, metrics=metrics)
        return count

    def send_file(self, file: Path, folder: str | None = None) -> None:
        client, run_id = self._open()
        self._ask(client.log_artifact, run_id, str(file), folder)

    def end(self, status: dict[str, Any]) -> None:
        """Record how the run ended: the content of its `status.json`."""
        client, run_id = self._open()
        for name in ("state", "reason", "cause"):
            if status.get(name):
                self._ask(client.set_tag, run_id, f"savanna.{name}", str(status[name]))
        state = str(status.get("state", "failed"))
        self._ask(client.set_terminated, run_id, RUN_STATUS.get(state, "FAILED"))

    def _ask(self, request: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        answer = request(*args, **kwargs)
        self.answers += 1
        return answer

    def _open(self) -> tuple[MlflowClient, str]:
        """Import MLflow, find or create the MLflow run, describe it."""
        if self._opened is not None:
            return self._opened
        import_mlflow()
        from mlflow.entities import Param, RunTag

        self.waits_for_server = is_server(self._uri)
        client = open_store(self._uri)
        described = tags(self._run, self._config)
        run_id, known = self._earlier_run(client)
        if not run_id:
            created = self._ask(
                client.create_run,
                self._ask(_experiment_id, client, self._run, self._uri),
                start_time=self._began,
                tags=described,
                run_name=self._run.id,
            )
            run_id = created.info.run_id
            self._run.write_json("mlflow.json", {"run_id": run_id, "uri": public_uri(self._uri)})
        # A parameter can be written only once.
        new = [Param(k, v) for k, v in parameters(self._config).items() if k not in known]
        for begin in range(0, len(new), PARAMETERS_PER_BATCH):
            some = new[begin : begin + PARAMETERS_PER_BATCH]
            self._ask(client.log_batch, run_id, params=some)
        if known:
            new_tags = [RunTag(k, v) for k, v in described.items()]
            self._ask(client.log_batch, run_id, tags=new_tags)
        self._opened = client, run_id
        return self._opened

    def _earlier_run(self, client: MlflowClient) -> tuple[str, dict[str, str]]:
        """Id and parameters of the MLflow run to continue; an empty id if there is none.

        There is one if the run is resumed, or if an earlier attempt to open it failed half-way.
        """
        stored = self._run.read_json("mlflow.json")
        if not stored.get("run_id") or stored.get("uri") != public_uri(self._uri):
            return "", {}
        from mlflow.exceptions import MlflowException

        try:
            earlier = self._ask(client.get_run, stored["run_id"])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return "", {}  # deleted in the meantime: create a new one
        self._ask(client.update_run, earlier.info.run_id, status="RUNNING")
        return earlier.info.run_id, dict(earlier.data.params)


def _metrics_of(at: int, result: IterationResult) -> list[Metric]:
    from mlflow.entities import Metric

    row = result.as_row()
    row |= {alias: row[name] for alias, name in ALIASES.items()}
    step = result.agent_steps
    return [Metric(k, float(v), at, step) for k, v in row.items() if math.isfinite(v)]


def _experiment_id(client: MlflowClient, run: RunDirectory, uri: str) -> str:
    from mlflow.exceptions import MlflowException

    name = run.experiment
    known = client.get_experiment_by_name(name)
    if known is None:
        special: dict[str, Any] = {}
        if uri == default_uri(run):
            # Our own file keeps the artifacts beside it, and opens in the view for training.
            place = run.path.parent.parent / ARTIFACTS_FOLDER / name
            special = {"artifact_location": place.as_uri(), "tags": EXPERIMENT_TAGS}
        try:
            return str(client.create_experiment(name, **special))
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
            return _experiment_id(client, run, uri)  # another run has just created it
    if known.lifecycle_stage == "deleted":
        client.restore_experiment(known.experiment_id)
    return str(known.experiment_id)
