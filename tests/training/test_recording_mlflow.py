"""MLflow tracking: what ends up in the store, and that a broken store does no harm."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import pytest
from sample_run import CONFIG, failed, make_run, result, succeeded
from tracked_run import track
from waiting import PATIENCE, wait_until

from savanna.metrics import COLUMNS
from savanna.recording import MlflowTracking
from savanna.recording.mlflow_store import parameters, public_uri
from savanna.runs.directory import RunDirectory


@pytest.fixture(autouse=True)
def no_tracking_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_newest_film_is_sent_while_the_run_goes_on(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs")
    recorder = MlflowTracking(flush_seconds=0.05, patience=PATIENCE)
    recorder.start(run, run.config, False)
    run.videos.mkdir(exist_ok=True)
    for number in (1, 2):
        (run.videos / f"episode-{number}.mp4").write_bytes(b"film")
        recorder.record(result(number))
        film = f"runs/mlartifacts/**/videos/episode-{number}.mp4"
        wait_until(lambda: list(tmp_path.glob(film)))
    recorder.finish(succeeded())


def test_a_run_its_resume_and_its_failure_are_one_mlflow_run(tmp_path: Path) -> None:
    run = make_run(tmp_path / "runs folder")
    (run.path / "report.html").write_text("<p>report</p>")
    assert track(run, range(1, 6), **failed()) == []

    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/runs folder/mlflow.db")
    experiment = client.get_experiment_by_name("pong")
    assert experiment is not None
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    (stored,) = client.search_runs([experiment.experiment_id])
    assert (stored.info.run_name, stored.info.status) == (run.id, "FAILED")
    assert stored.data.tags["savanna.cause"] == failed()["cause"]
    assert stored.data.tags["mlflow.source.git.commit"].startswith("0123456789")
    assert stored.data.tags["version.ray"] == "2.60.0"
    assert stored.data.params["stop.return"] == "18"
    assert stored.data.params["overrides.lr"] == "0.0004"
    assert stored.data.params["resources.env_runners"] == "1"
    known = {name for name, value in result(1).as_row().items() if math.isfinite(value)}
    assert set(stored.data.metrics) == {*known, "training_iteration"} and known < set(COLUMNS)
    history = client.get_metric_history(stored.info.run_id, "episode_return_mean")
    assert [m.step for m in history] == [n * 8192 for n in range(1, 6)]
    assert history[-1].value == result(5).episode_return_mean
    artifacts = {a.path for a in client.list_artifacts(stored.info.run_id)}
    assert {"config.json", "report.html"} <= artifacts
    assert (tmp_path / "runs folder" / "mlartifacts" / "pong").is_dir()

    assert track(run, range(6, 9), resumed=True) == []
    (again,) = client.search_runs([experiment.experiment_id])
    assert (again.info.run_id, again.info.status) == (stored.info.run_id, "FINISHED")
    history = client.get_metric_history(again.info.run_id, "training_iteration")
    assert [m.value for m in history] == list(range(1, 9))


def test_an_unreachable_server_warns_once_and_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Nothing listens on the discard port of this machine.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://someone:secret@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    run = make_run(tmp_path, 0)
    warnings: list[str] = []
    recorder = MlflowTracking(
        warnings.append, flush_seconds=0.05, retry_seconds=0.05, patience=PATIENCE
    )
    recorder.start(run, CONFIG, False)
    for number in range(1, 4):
        recorder.record(result(number))
    wait_until(lambda: warnings)
    recorder.finish(succeeded())
    (warning,) = warnings
    assert warning.startswith("MLflow tracking at http://127.0.0.1:9 does not work: ")
    assert warning.endswith("(training continues)")
    assert "secret" not in warning and "\n" not in warning


class Server:
    """Answers as many requests as it is allowed to."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.allowed = threading.Semaphore(0)

    def __getattr__(self, name: str) -> Any:
        def ask(*arguments: Any, **more: Any) -> Any:
            self.asked.append(name)
            self.allowed.acquire()
            answer = MagicMock()
            answer.info.run_id = "1"
            return answer

        return ask


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    server = Server()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setattr("savanna.recording.mlflow_run.open_store", lambda uri: server)
    yield server
    server.allowed.release(1000)


def warnings_of(run: RunDirectory, **settings: Any) -> list[str]:
    """Track a run of one iteration; returns the warnings."""
    warnings: list[str] = []
    recorder = MlflowTracking(warnings.append, **settings)
    recorder.start(run, CONFIG, False)
    recorder.record(result(1))
    recorder.finish(succeeded())
    return warnings


def test_finish_waits_no_longer_than_its_patience(tmp_path: Path, server: Server) -> None:
    *_, warning = warnings_of(make_run(tmp_path, 0), patience=0.1)
    assert "does not work: no answer within 0.1 s" in warning


def test_a_server_that_is_slow_but_answers_is_waited_for(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def join(thread: threading.Thread, timeout: float | None = None) -> None:
        """The waiting time is enough for one answer."""
        asked = len(server.asked)
        server.allowed.release()
        wait_until(lambda: len(server.asked) > asked or not thread.is_alive(), every=0.01)

    monkeypatch.setattr(threading.Thread, "join", join)
    (warning,) = warnings_of(make_run(tmp_path, 0))
    assert warning == "Finishing MLflow tracking at http://127.0.0.1:9 ..."
    assert "set_terminated" in server.asked and server.asked[-1] == "log_artifact"


def test_a_slow_store_is_not_waited_for_for_ever_nor_said_to_fail(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("savanna.recording.mlflow_tracking._LONGEST", 0.2)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///slow.db")
    *_, warning = warnings_of(make_run(tmp_path, 0))
    assert "is slow" in warning and "does not work" not in warning


def test_where_files_are_refused_metrics_and_the_end_arrive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)

    from savanna.recording.mlflow_store import open_store

    client = open_store(uri)
    experiment = client.create_experiment("pong", artifact_location="unheard-of://somewhere")
    run = make_run(tmp_path, 0)
    run.videos.mkdir()
    (run.videos / "episode-1.mp4").write_bytes(b"film")
    (warning,) = track(run, range(1, 4))
    assert "accepts no files" in warning and "does not work" not in warning
    (stored,) = client.search_runs([experiment])
    assert stored.info.status == "FINISHED"
    assert stored.data.metrics["training_iteration"] == 3


def test_an_experiment_that_another_run_makes_at_that_moment_is_taken(tmp_path: Path) -> None:
    run = make_run(tmp_path, 0)

    from mlflow.exceptions import MlflowException

    from savanna.recording.mlflow_run import _experiment_id

    client = MagicMock()
    there = MagicMock(experiment_id="7")
    client.get_experiment_by_name.side_effect = [None, there]
    client.create_experiment.side_effect = MlflowException("", 3001)  # RESOURCE_ALREADY_EXISTS
    assert _experiment_id(client, run, "http://127.0.0.1:9") == "7"


def test_an_azure_ml_workspace_without_its_plugin_is_refused_in_one_line_that_says_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "azureml://westeurope.api.azureml.ms/mlflow/v1.0")
    (warning,) = track(make_run(tmp_path, 0), range(1, 3))
    assert "MLFLOW_TRACKING_URI=azureml://westeurope" in warning and "plugin" in warning
    assert "metrics.csv" in warning and "runs/mlflow.db" in warning and "\n" not in warning


def test_parameters_are_the_essentials_with_allowed_names_and_lengths() -> None:
    found = parameters(CONFIG | {"overrides": {"a'b": "x" * 9000}})
    assert found["env"] == "PongNoFrameskip-v4"
    assert found["preset.model_config"] == '{"encoder": "medium", "standardize_frames": 100000}'
    assert found["overrides.a_b"] == "x" * 500
    assert not any(name.startswith("rllib") for name in found)


def test_public_uri_hides_user_and_password() -> None:
    assert public_uri("https://me:pw@example.org:5000/x") == "https://example.org:5000/x"
    assert public_uri("sqlite:////tmp/a@b.db") == "sqlite:////tmp/a@b.db"
