"""MLflow's database: complete or not there, for several runs at once, in folders of any name."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import socket
import sqlite3
import sys
import urllib.request
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from command import ROOT, finish, ours, run, started
from sample_run import make_run
from tracked_run import track
from waiting import wait_until

from savanna.recording import mlflow_database
from savanna.recording.mlflow_database import prepare, sqlite_uri

ITERATIONS = 40


@pytest.fixture(autouse=True)
def no_tracking_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


def tracked(*arguments: object) -> dict[str, Any]:
    """The command and the environment of a run that is tracked in a process of its own."""
    environment = ours()
    environment["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests'}"
    program = ROOT / "tests" / "training" / "tracked_run.py"
    return {"command": [sys.executable, program, *arguments], "env": environment}


def stored(file: Path) -> dict[str, int]:
    """Name -> recorded iterations of the runs that have succeeded according to MLflow."""
    with contextlib.closing(sqlite3.connect(file)) as database:
        query = (
            "SELECT name, count(*) FROM runs JOIN metrics USING (run_uuid)"
            " WHERE status = 'FINISHED' AND key = 'training_iteration' GROUP BY run_uuid"
        )
        return dict(database.execute(query).fetchall())


def refuse(code: int) -> Any:
    def call(*arguments: object) -> None:
        raise OSError(code, os.strerror(code))

    return call


@pytest.fixture(scope="module")
def cut_off(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that MLflow was killed while creating in place."""
    file = tmp_path_factory.mktemp("cut off") / "mlflow.db"
    program = (
        "import sys, mlflow, tracked_run; tracked_run.die_in_a_migration();"
        " mlflow.MlflowClient(f'sqlite:///{sys.argv[1]}').search_experiments()"
    )
    environment = tracked()["env"]
    environment["PYTHONPATH"] += f"{os.pathsep}{ROOT / 'tests' / 'training'}"
    assert run([sys.executable, "-c", program, file], env=environment).returncode == -signal.SIGKILL
    return file


def test_runs_that_begin_together_are_all_tracked_with_all_they_have(runs: Path) -> None:
    names = ["a", "b", "c", "d"]
    with contextlib.ExitStack() as stack:
        processes = []
        for name in names:
            call = tracked(runs, name, ITERATIONS)
            process = started(call["command"], env=call["env"], stdout=PIPE, stderr=PIPE)
            processes.append(stack.enter_context(process))
        wait_until(lambda: len(list(runs.glob("pong/*/evaluations.json"))) == len(names))
        (runs / "go").touch()
        said = [finish(process, 300) for process in processes]
    assert [out for out, _ in said] == [""] * len(names), said
    assert stored(runs / "mlflow.db") == dict.fromkeys(names, ITERATIONS)


def test_a_migration_that_is_cut_off_leaves_nothing_broken(runs: Path) -> None:
    (runs / "go").touch()
    killed = run(**tracked(runs, "killed", 1, "killed"))
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert track(make_run(runs, 0, name="next"), range(1, ITERATIONS + 1)) == []
    assert stored(runs / "mlflow.db") == {"next": ITERATIONS}
    left = {path.name for path in runs.iterdir()}
    assert left == {"go", "pong", "mlflow.db", "mlartifacts"}


@pytest.mark.parametrize("kind", ["cut off", "no database"])
def test_a_broken_database_is_named_with_the_way_out_and_left_alone(
    runs: Path, cut_off: Path, kind: str
) -> None:
    file = runs / "mlflow.db"
    if kind == "cut off":
        shutil.copy(cut_off, file)
    else:
        file.write_text("not a database")
    before = file.read_bytes()
    (warning,) = track(make_run(runs, 3), range(1, 4))
    assert f"sqlite:///{file}" in warning and "broken" in warning
    assert "Move it away" in warning and "metrics.csv has everything" in warning
    assert file.read_bytes() == before
    file.rename(runs / "away")
    assert track(make_run(runs, 0, name="next"), range(1, 4)) == []
    assert stored(file) == {"next": 3}


def test_a_share_without_locks_and_links_has_a_database_too(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    monkeypatch.setattr(os, "link", refuse(errno.EOPNOTSUPP))
    assert track(make_run(runs, 0, name="one"), range(1, 3)) == []
    assert track(make_run(runs, 0, name="two"), range(1, 3)) == []
    assert stored(runs / "mlflow.db") == {"one": 2, "two": 2}


def test_a_lock_that_is_never_released_does_not_hold_up_a_run(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mlflow_database, "_LOCK_SECONDS", 0.2)
    other = os.open(runs, os.O_RDONLY)
    fcntl.flock(other, fcntl.LOCK_EX)
    try:
        assert track(make_run(runs, 0, name="one"), range(1, 3)) == []
    finally:
        os.close(other)
    assert stored(runs / "mlflow.db") == {"one": 2}


def test_of_two_that_make_the_database_the_first_counts(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = runs / "mlflow.db"
    link = os.link

    def after_another(made: Path, place: Path) -> None:
        monkeypatch.setattr(os, "link", link)
        assert track(make_run(runs, 0, name="first"), range(1, 3)) == []
        link(made, place)

    monkeypatch.setattr(fcntl, "flock", refuse(errno.ENOLCK))
    monkeypatch.setattr(os, "link", after_another)
    prepare(sqlite_uri(file))
    assert stored(file) == {"first": 2}


def test_a_file_that_was_only_opened_is_made(runs: Path) -> None:
    (runs / "mlflow.db").touch()
    assert track(make_run(runs, 0, name="one"), range(1, 3)) == []
    assert stored(runs / "mlflow.db") == {"one": 2}


def test_other_stores_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for uri in ("sqlite://", "sqlite:///:memory:", "http://127.0.0.1:9", "mlruns"):
        prepare(uri)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["exp%20one", "what?", "a#b", "a b", "a+b&c=ü"])
def test_the_database_is_in_the_folder_whatever_its_name(tmp_path: Path, name: str) -> None:
    runs = tmp_path / name / "runs"
    assert track(make_run(runs, 0, name="one"), range(1, 3)) == []
    assert stored(runs / "mlflow.db") == {"one": 2}
    assert list(runs.glob("mlartifacts/pong/*/artifacts/config.json"))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    # Resumed, it goes on there.
    assert track(make_run_again(runs), range(3, 5), resumed=True) == []
    assert stored(runs / "mlflow.db") == {"one": 4}


def make_run_again(runs: Path) -> Any:
    from savanna.runs.directory import RunDirectory

    return RunDirectory(runs / "pong" / "one")


def test_mlflow_shows_runs_and_files_with_the_command_of_the_manual(tmp_path: Path) -> None:
    runs = tmp_path / "exp%20one" / "what?" / "a#b"
    assert track(make_run(runs, 0, name="one"), range(1, 3)) == []
    (line,) = (
        line.strip()
        for line in (ROOT / "docs" / "using.md").read_text().splitlines()
        if line.strip().startswith("mlflow ui")
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [*line.split(), "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    words[0] = str(Path(sys.executable).with_name("mlflow"))

    def get(path: str, body: bytes | None = None) -> str:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    def answers() -> bool:
        with contextlib.suppress(OSError):
            return get("/health") == "OK"
        return False

    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with started(words, cwd=runs, env=environment, stdout=PIPE, stderr=PIPE) as server:
        wait_until(answers, "MLflow", process=server)
        found = get("/api/2.0/mlflow/runs/search", b'{"experiment_ids": ["1"]}')
        run_id = found.partition('"run_id": "')[2].partition('"')[0]
        assert '"run_name": "one"' in found
        config = get(f"/get-artifact?path=config.json&run_uuid={run_id}")
    assert '"experiment": "pong"' in config
