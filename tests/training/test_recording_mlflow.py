"""MLflow tracking: what ends up in the store, and that a broken store disturbs nobody."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sample_run import CONFIG, failed, make_run, result, succeeded
from waiting import PATIENCE, wait_until

from savanna.metrics import COLUMNS
from savanna.recording import MlflowTracking
from savanna.recording.mlflow_store import parameters, public_uri
from savanna.runs.directory import RunDirectory


@pytest.fixture(autouse=True)
def no_tracking_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    # On a busy machine it would get no time at all.
    monkeypatch.setattr("savanna.recording.mlflow_tracking._NICENESS", 0)


def track(run: RunDirectory, numbers: range, *, resumed: bool = False, **end: Any) -> list[str]:
    warnings: list[str] = []
    recorder = MlflowTracking(warnings.append, flush_seconds=0.05, patience=PATIENCE)
    recorder.start(run, run.config, resumed)
    for number in numbers:
        recorder.record(result(number))
    recorder.finish(end or succeeded())
    return warnings


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
    assert warning.endswith("(training goes on)")
    assert "secret" not in warning and "\n" not in warning


def test_finish_waits_no_longer_than_its_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release: list[bool] = []

    def hang(uri: str) -> None:
        while not release:
            time.sleep(0.01)
        raise ConnectionError("too late")

    monkeypatch.setattr("savanna.recording.mlflow_tracking.open_store", hang)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    warnings: list[str] = []
    recorder = MlflowTracking(warnings.append, patience=0.1)
    recorder.start(make_run(tmp_path, 0), CONFIG, False)
    recorder.record(result(1))
    recorder.finish(succeeded())
    release.append(True)
    assert len(warnings) == 1 and "no answer within 0.1 s" in warnings[0]


def test_it_yields_to_training_and_no_longer_when_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # what these tests do with its priority
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "setpriority", lambda which, thread, to: given.append((thread, to)))
    release: list[bool] = []

    def wait(uri: str) -> None:
        wait_until(lambda: release)
        raise ConnectionError("nothing to track with")

    monkeypatch.setattr("savanna.recording.mlflow_tracking.open_store", wait)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    recorder = MlflowTracking(lambda text: None, patience=0.1)
    recorder.start(make_run(tmp_path, 0), CONFIG, False)
    recorder.record(result(1))
    wait_until(lambda: given)
    recorder.finish(succeeded())
    release.append(True)
    (thread, lower), (same, again) = given
    assert thread == same and lower > again == os.getpriority(os.PRIO_PROCESS, 0)


def test_parameters_are_the_essentials_with_allowed_names_and_lengths() -> None:
    found = parameters(CONFIG | {"overrides": {"a'b": "x" * 9000}})
    assert found["env"] == "PongNoFrameskip-v4"
    assert found["preset.model_config"] == '{"encoder": "medium", "standardize_frames": 100000}'
    assert found["overrides.a_b"] == "x" * 500
    assert not any(name.startswith("rllib") for name in found)


def test_public_uri_hides_user_and_password() -> None:
    assert public_uri("https://me:pw@example.org:5000/x") == "https://example.org:5000/x"
    assert public_uri("sqlite:////tmp/a@b.db") == "sqlite:////tmp/a@b.db"
