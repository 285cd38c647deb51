"""A job's state, from Ray's status and the job's own phase lines; and those lines."""

import json
import signal
from pathlib import Path

import pytest

from savanna.errors import Interrupted, SavannaError, UsageError
from savanna.jobs import phases
from savanna.jobs.states import LOST, state_of

STARTING = {"phase": "starting"}
RUNNING = {"phase": "running", "run": "pong/1", "checkpoint": False}
SAVED = {"phase": "running", "run": "pong/1", "checkpoint": True}
STOPPING = {"phase": "stopping"}
WAITING = {"phase": "waiting", "there": ["10.0.0.2"], "missing": 1}
BUSY = {"phase": "waiting", "why": "3 of 4 CPUs are taken by pong-1"}
STOPPED = {"phase": "stopped", "cause": "SIGTERM received", "exit_code": 143}
FAILED = {"phase": "failed", "cause": "boom", "node": "10.0.0.2", "exit_code": 1}
SUCCEEDED = {"phase": "succeeded"}


@pytest.mark.parametrize(
    ("status", "said", "name"),
    [
        ("PENDING", [], "queued"),
        ("RUNNING", [], "starting"),
        ("RUNNING", [WAITING], "waiting for nodes"),
        ("RUNNING", [WAITING, STARTING], "starting"),
        ("RUNNING", [WAITING, STARTING, BUSY], "waiting"),
        ("RUNNING", [BUSY, STARTING], "starting"),
        ("RUNNING", [STARTING, RUNNING], "running"),
        ("RUNNING", [STARTING, RUNNING, STOPPING], "stopping"),
        ("RUNNING", [RUNNING, STOPPING, SAVED], "stopping"),  # its last checkpoint
        ("RUNNING", [STARTING, RUNNING, SUCCEEDED], "running"),  # only Ray ends a job
        ("RUNNING", [STARTING, FAILED], "starting"),
        ("SUCCEEDED", [STARTING, RUNNING, SUCCEEDED], "succeeded"),
        ("SUCCEEDED", [STARTING, RUNNING], "failed"),
        ("SUCCEEDED", [], "failed"),
        ("SUCCEEDED", [FAILED], "failed"),
        ("STOPPED", [], "stopped"),
        ("STOPPED", [RUNNING, STOPPING, STOPPED], "stopped"),
        ("STOPPED", [RUNNING], "stopped"),
        ("FAILED", [RUNNING, STOPPING, STOPPED], "stopped"),
        ("FAILED", [RUNNING, FAILED], "failed"),
        ("FAILED", [RUNNING], "failed"),
        ("FAILED", [RUNNING, SUCCEEDED], "failed"),
        (None, [], "failed"),
        (None, [RUNNING], "failed"),
    ],
)
def test_states(status, said, name):
    state = state_of(status, said)
    assert state.name == name
    assert state.terminal == (name in ("succeeded", "failed", "stopped"))


def test_causes():
    assert state_of("FAILED", [RUNNING, FAILED]).cause == "boom"
    assert state_of("FAILED", [RUNNING, FAILED]).node == "10.0.0.2"
    assert state_of(None, [SAVED]).cause == LOST
    assert "did not report that it succeeded" in state_of("SUCCEEDED", [RUNNING]).cause
    log = "failed with exit code 2, last logs:\nTraceback\nsavanna: unknown option '--x'\n"
    assert state_of("FAILED", [], message=log, exit_code=2).cause == "unknown option '--x'"
    assert "SIGKILL" in state_of("FAILED", [RUNNING], message="failed", exit_code=-9).cause
    assert state_of("FAILED", [], message="supervisor died").cause == "supervisor died"
    assert state_of("RUNNING", [WAITING]).text == "waiting for nodes: 1 missing; joined: 10.0.0.2"
    assert state_of("RUNNING", [BUSY]).text == "waiting: 3 of 4 CPUs are taken by pong-1"
    assert state_of("FAILED", [FAILED], exit_code=2).refused
    assert not state_of("FAILED", [FAILED], exit_code=1).refused
    assert not state_of("FAILED", [FAILED]).for_good
    assert state_of("FAILED", [FAILED | {"for_good": True}]).for_good
    assert state_of("FAILED", [RUNNING | {"group": "g"}, FAILED]).group == "g"


def test_the_run_and_whether_it_can_go_on():
    assert state_of("RUNNING", [STARTING]).run is None
    before = state_of("FAILED", [STARTING, RUNNING, FAILED])
    assert (before.run, before.resumable) == ("pong/1", False)
    assert state_of("FAILED", [RUNNING, SAVED, FAILED]).resumable
    assert state_of(None, [SAVED]).run == "pong/1"
    other = {"phase": "running", "run": "pong/2", "checkpoint": False}
    assert (state_of("RUNNING", [SAVED, other]).run, state_of("RUNNING", [other]).resumable) == (
        "pong/2",
        False,
    )


@pytest.fixture
def log(tmp_path, monkeypatch):
    """The log of a job that runs in this process."""
    monkeypatch.setenv("SAVANNA_JOB", "x")
    monkeypatch.setattr(phases, "_lasting", {})
    with (tmp_path / "job-driver-x.log").open("w") as stream:
        monkeypatch.setattr(phases, "messages", lambda: stream)
        yield stream
        assert Path(stream.name).read_text() == "", "the log is for people"


def said(log):
    return phases.read(Path(log.name).with_suffix(".phases").read_text())


def ended(error, log):
    with pytest.raises(type(error)):
        with phases.outcome():
            raise error
    return said(log)[-1]


def test_a_job_reports_its_end(log):
    with phases.outcome():
        phases.report("running", run="pong/1")
    assert [p["phase"] for p in said(log)] == ["running", "succeeded"]
    text = "An env runner (PID 7) on node 10.0.0.3 died: boom"
    failed = ended(SavannaError(text), log)
    wanted = {"phase": "failed", "cause": text, "node": "10.0.0.3", "exit_code": 1}
    assert failed == wanted | {"run": "pong/1"}
    assert ended(UsageError("no"), log)["exit_code"] == 2
    stopped = ended(Interrupted("Stopped.", signal.SIGTERM), log)
    assert (stopped["cause"], stopped["exit_code"]) == ("Stopped.", 143)
    assert ended(ValueError("two\nlines"), log)["cause"] == "two\nlines"


def test_the_last_lines_say_all_there_is_to_know(log):
    phases.report("starting", workers=2)
    phases.report("running", run="pong/1", checkpoint=True)
    for _ in range(2 * phases.LINES):
        phases.report("stopping")
    state = state_of("RUNNING", said(log)[-phases.LINES :])
    assert (state.name, state.run, state.resumable, state.workers) == (
        "stopping",
        "pong/1",
        True,
        2,
    )
    phases.report("running", run="pong/2", checkpoint=False)
    assert not state_of("FAILED", said(log)[-phases.LINES :]).resumable


def test_nothing_is_reported_outside_a_job(log, tmp_path, monkeypatch):
    """Nor by what a job starts; and reporting is never an error."""
    with (tmp_path / "other.log").open("w") as stream, monkeypatch.context() as patch:
        patch.setattr(phases, "messages", lambda: stream)
        phases.report("starting")
    monkeypatch.delenv("SAVANNA_JOB")
    with phases.outcome():
        phases.report("starting")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["job-driver-x.log", "other.log"]
    monkeypatch.setenv("SAVANNA_JOB", "x")
    (tmp_path / "job-driver-x.phases").mkdir()
    phases.report("starting")


def test_reading_phase_lines():
    assert phases.read(f'{json.dumps(RUNNING)}\n{{"half\n[1]\n') == [RUNNING]
