"""The copy of a run in storage: what it contains, and which of two copies is newer."""

import contextlib
import json
import shutil
import socket
import time
from unittest.mock import Mock

import pytest

from savanna.errors import SavannaError, UsageError
from savanna.runs import stored
from savanna.runs.checkpoints import MANIFEST, checkpoints_in
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import FILE, owned
from savanna.runs.storage import connect
from savanna.runs.stored import find_anywhere
from savanna.runs.upload import Upload


@pytest.fixture
def run(copied) -> RunDirectory:
    """Checkpoints 0, 1 and 2."""
    return RunDirectory.find("latest", copied / "runs")


@pytest.fixture
def place(tmp_path):
    return tmp_path / "storage"


def copy(run, place) -> Upload:
    upload = Upload(connect(str(place)), run.path, f"cartpole/{run.id}")
    again(upload)
    return upload


def again(upload):
    return list(upload.steps())


def with_status(run, **changes):
    run.write_json("status.json", run.status | changes)


def test_what_is_not_kept_here_is_not_kept_there(run, place):
    upload = copy(run, place)
    there = place / "cartpole" / run.id
    assert [c.number for c in checkpoints_in(there)] == [0, 1, 2]
    shutil.rmtree(run.checkpoint_path(0))
    (run.path / "report.html").unlink()
    again(upload)
    assert [c.number for c in checkpoints_in(there)] == [1, 2]
    assert not (there / "checkpoint_000000").exists() and not (there / "report.html").exists()
    assert again(upload) == [], "nothing changed"


def test_a_checkpoint_without_its_manifest_is_sent_again(run, place):
    copy(run, place)
    there = place / "cartpole" / run.id / "checkpoint_000001"
    (there / MANIFEST).unlink()
    (there / "algorithm_state.pkl").write_bytes(b"half")
    copy(run, place)
    for file in (MANIFEST, "algorithm_state.pkl"):
        assert (there / file).read_bytes() == (run.checkpoint_path(1) / file).read_bytes()


def test_the_newer_copy_wins(run, place, copied, capsys):
    with_status(run, session=2, started_by="there")
    copy(run, place)
    with_status(run, session=1, started_by="here")
    (run.path / "metrics.csv").write_text("old")
    found, fetched = find_anywhere("latest", copied / "runs", str(place))
    assert fetched and found.run.path == run.path
    assert found.run.status["session"] == 2 and len(found.run.metrics()) == 3
    aside = next(run.path.parent.glob(".older-*"))
    assert (aside / "metrics.csv").read_text() == "old"
    assert str(aside) in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("trouble", ["written here", "the storage fails"])
def test_an_older_copy_stays_where_the_newer_one_cannot_come(
    trouble, run, place, copied, monkeypatch
):
    with_status(run, session=2, started_by="there")
    copy(run, place)
    with_status(run, session=1, started_by="here")
    with contextlib.ExitStack() as stack:
        if trouble == "written here":
            stack.enter_context(owned(run.path))
            stack.enter_context(pytest.raises(UsageError, match="still being written"))
        else:
            copying = Mock(side_effect=OSError("broken off"))
            monkeypatch.setattr("pyarrow.fs.copy_files", copying)
            stack.enter_context(pytest.raises(SavannaError, match="broken off"))
        find_anywhere("latest", copied / "runs", str(place))
    assert run.status["started_by"] == "here" and len(run.checkpoints()) == 3
    assert not list(run.path.parent.glob(".*"))


@pytest.mark.parametrize("there", [{"session": 1, "started_by": "here"}, {"session": 0}])
def test_a_copy_that_is_no_newer_is_left(there, run, place, copied):
    with_status(run, **there)
    copy(run, place)
    with_status(run, session=1, started_by="here")
    found, fetched = find_anywhere("latest", copied / "runs", str(place))
    assert not fetched and found.run.path == run.path


def test_runs_that_parted_are_not_joined(run, place, copied):
    with_status(run, session=2, started_by="there")
    copy(run, place)
    with_status(run, session=2, started_by="here")
    with pytest.raises(UsageError, match="the copies differ"):
        find_anywhere("latest", copied / "runs", str(place))


def test_a_run_that_is_written_elsewhere_is_not_fetched(run, place, tmp_path, monkeypatch):
    owner = {"id": "x", "host": "elsewhere", "pid": 7, "since": "noon", "seen": time.time()}
    (run.path / FILE).write_text(json.dumps(owner))
    copy(run, place)
    here = owner | {"host": socket.gethostname(), "born": None, "pid": 1}
    file = place / "cartpole" / run.id / FILE
    monkeypatch.setattr(stored, "PUSH_SECONDS", -7.0)  # a second of patience
    states = iter([owner, owner | {"seen": owner["seen"] + 30}])
    monkeypatch.setattr(
        stored, "read_from_storage", lambda location, name: json.dumps(next(states, here))
    )
    with pytest.raises(UsageError, match="process 7 on elsewhere since noon"):
        find_anywhere(run.id, tmp_path / "empty", str(place))
    monkeypatch.undo()
    monkeypatch.setattr(stored, "PUSH_SECONDS", -7.0)
    found, fetched = find_anywhere(run.id, tmp_path / "empty", str(place))
    assert fetched and file.exists() and not (found.run.path / FILE).exists()
