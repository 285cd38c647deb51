"""Whoever has lost its run to another process, as after a laptop's sleep, leaves it alone."""

import json
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from savanna.errors import GaveUp, SavannaError
from savanna.recording import MetricsCsv
from savanna.runs.copier import Copier
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import FILE, own
from savanna.session import session as session_module
from savanna.session import tune
from savanna.session.retries import Retries
from savanna.session.session import Session
from savanna.session.stopping import Stop
from savanna.session.trial_record import TrialRecord
from savanna.session.trials import RunRecording, raise_for_failures

MESSAGE = r"not be recorded any longer: process 1 on elsewhere since noon writes pong/one now\."
TRIAL = SimpleNamespace(trial_id="a", status="RUNNING", error_file=None)


def result(iteration: int) -> dict:
    more = {"time_total_s": 1.0, "time_this_iter_s": 1.0, "tally": {"episodes": 0}}
    return {"training_iteration": iteration, **more}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "pong" / "one"
    folder.mkdir(parents=True)
    return RunDirectory(folder)


@pytest.fixture
def copier(monkeypatch):
    monkeypatch.setattr("savanna.runs.copier.StorageProcess", lambda location: None)
    monkeypatch.setattr(Copier, "_work", lambda self: None)
    return Copier("nowhere", print)


@pytest.fixture
def recording(run, copier):
    """Of one run, which has one iteration."""
    mine = own(run.path)
    record = TrialRecord(run, [MetricsCsv()], {}, copier, Retries(3), mine)
    record.recorders[0].start(run, {}, False)
    copier.add(run.path)
    recording = RunRecording(lambda t: record, Stop(time.monotonic(), None), lambda *_: None)
    recording.on_trial_start(0, [TRIAL], TRIAL)
    record.write_status("running")
    assert not recording.should_stop("a", result(1))
    recording.on_trial_result(0, [TRIAL], TRIAL, result(1))
    assert len(run.metrics()) == 1
    yield recording
    mine.release()


def take_over(run: RunDirectory) -> dict:
    """Another process writes the run now; what the run has then."""
    new = {"id": "x", "host": "elsewhere", "pid": 1, "since": "noon", "seen": time.time()}
    (run.path / FILE).write_text(json.dumps(new))
    (run.path / "status.json").write_text('{"state": "running", "host": "elsewhere"}')
    (run.path / ".messages").write_text('["from elsewhere", false]\n')
    (run.path / ".checkpoint_000001").mkdir()
    (run.path / ".checkpoint_000001" / "half").write_text("half")
    run.stop_request.touch()
    return files(run)


def files(run: RunDirectory) -> dict:
    return {f: f.read_bytes() for f in run.path.rglob("*") if f.is_file()}


@pytest.mark.parametrize("asked", [True, False], ids=["after a look", "at the next result"])
@pytest.mark.parametrize("end", ["error", "complete"])
def test_its_trial_ends_without_a_trace(end, asked, run, recording, copier, capsys):
    there = take_over(run)
    if asked:
        recording._next_look = 0.0
        recording.on_step_begin(0, [TRIAL])
    assert recording.should_stop("a", result(2))
    recording.on_trial_result(0, [TRIAL], TRIAL, result(2))
    recording.on_checkpoint(0, [TRIAL], TRIAL, None)
    if end == "error":  # the trial itself refuses to save
        assert not recording.may_try_again(TRIAL)
        recording.on_trial_error(0, [TRIAL], TRIAL)
    else:
        recording.on_trial_complete(0, [TRIAL], TRIAL)
    assert files(run) == there and copier._runs == []
    assert "elsewhere\n" not in capsys.readouterr().err
    with pytest.raises(GaveUp, match=MESSAGE):
        raise_for_failures(recording.records)


def test_its_stop_does_not_stop_the_new_owner(run, recording):
    take_over(run)
    run.stop_request.unlink()
    recording._stop.signal = 15
    recording.on_step_begin(0, [TRIAL])
    assert not run.stop_request.exists()


def test_its_session_leaves_the_run_alone(run, recording, monkeypatch):
    there, finished = {}, []
    monkeypatch.setattr(tune, "run_tune", lambda session: there.update(take_over(run)))
    monkeypatch.setattr(session_module, "finish_all", lambda runs, kept: finished.extend(runs))
    monkeypatch.setattr(session_module, "show_group", lambda runs, kept: None)
    session = object.__new__(Session)
    session.recording, session.stop, session.resumption = recording, recording._stop, None
    session.plan, session.group, session._copier = SimpleNamespace(kept=None), None, None
    session.opening = SimpleNamespace(close=lambda: None)
    session.run()
    session.finish()
    session.close()
    assert files(run) == there and finished == []
    with pytest.raises(SavannaError, match=MESSAGE):
        session.conclude()


class Trained:
    """What an algorithm needs to train without doing it."""

    trouble, iteration = None, 1

    def train(self):
        return result(1)

    def save_checkpoint(self, folder):
        (Path(folder) / "weights").touch()

    def broken_weights(self):
        return None


def test_its_trial_saves_nothing(run, tmp_path):
    mine = own(run.path)
    trial = object.__new__(tune.make_trainable(Trained, tmp_path, keep=1))
    anything = SimpleNamespace(update=lambda result: None, take=dict)
    trial.__dict__ |= {"_run": run.path, "_tally": anything, "_startup": anything}
    trial._old_scale, trial._filmer = {}, None
    trial.train()
    there = take_over(run)
    trial.train()
    with pytest.raises(GaveUp, match="process 1 on elsewhere since noon writes pong/one now"):
        trial.save()
    assert files(run) == there
    mine.release()
