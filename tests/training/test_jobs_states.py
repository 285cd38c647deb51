"""What a job's state is, from Ray's status and the job's own phase lines; and those lines."""

import json
import signal

import pytest

from savanna.errors import Interrupted, SavannaError, UsageError
from savanna.jobs import phases
from savanna.jobs.states import LOST, state_of

STARTING = {"phase": "starting"}
RUNNING = {"phase": "running", "run": "pong/1", "checkpoint": False}
SAVED = {"phase": "running", "run": "pong/1", "checkpoint": True}
STOPPING = {"phase": "stopping"}
WAITING = {"phase": "waiting", "there": ["10.0.0.2"], "missing": 1}
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
    assert "without saying" in state_of("SUCCEEDED", [RUNNING]).cause
    log = "failed with exit code 2, last logs:\nTraceback\nsavanna: unknown option '--x'\n"
    assert state_of("FAILED", [], message=log, exit_code=2).cause == "unknown option '--x'"
    assert "SIGKILL" in state_of("FAILED", [RUNNING], message="failed", exit_code=-9).cause
    assert state_of("FAILED", [], message="supervisor died").cause == "supervisor died"
    assert "10.0.0.2; missing: 1" in state_of("RUNNING", [WAITING]).detail


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


def ended(error, capfd):
    with pytest.raises(type(error)):
        with phases.outcome():
            raise error
    return phases.read(capfd.readouterr().err)


def test_a_job_reports_its_end(capfd, monkeypatch):
    monkeypatch.setenv("SAVANNA_JOB", "x")
    with phases.outcome():
        phases.report("running", run="pong/1")
    said = phases.read(capfd.readouterr().err)
    assert [p["phase"] for p in said] == ["running", "succeeded"]
    text = "An env runner (process 7) on node 10.0.0.3 died: boom"
    assert ended(SavannaError(text), capfd) == [
        {"phase": "failed", "cause": text, "node": "10.0.0.3", "exit_code": 1}
    ]
    assert ended(UsageError("no"), capfd)[0]["exit_code"] == 2
    stop = Interrupted("Stopped.", signal.SIGTERM)
    assert ended(stop, capfd) == [{"phase": "stopped", "cause": "Stopped.", "exit_code": 143}]
    assert ended(ValueError("two\nlines"), capfd)[0]["cause"] == "two\nlines"


def test_nothing_is_reported_outside_a_job(capfd, monkeypatch):
    monkeypatch.delenv("SAVANNA_JOB", raising=False)
    with phases.outcome():
        phases.report("starting")
    assert capfd.readouterr().err == ""


def test_reading_phase_lines():
    line = phases.PREFIX + json.dumps(RUNNING)
    log = f"a\n{line}\nb {line}\n{phases.PREFIX}{{half\n{phases.PREFIX}[1]\nc"
    assert phases.read(log) == [RUNNING]
    assert phases.without_phases(log) == f"a\nb {line}\nc"
