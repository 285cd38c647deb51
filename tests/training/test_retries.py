"""Failed trials that are tried again, and those that are not."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from command import savanna
from sample_run import result

from savanna.recording import MetricsCsv
from savanna.runs.directory import RunDirectory
from savanna.session import failure
from savanna.session.retries import Retries
from savanna.session.trial_record import TrialRecord
from savanna.session.trials import RunRecording

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report", "--stop", "none")

KILLED = "ray.exceptions.ActorDiedError: The actor died unexpectedly\n\tpid: {}\n\tip: 10.0.0.9"
RAISED = "savanna.errors.MayPass: An env runner (process {}) failed: ValueError: step {}"
BUG = "ray.exceptions.RayTaskError(ValueError): ray::PPO.train() (pid={})\nValueError: a bug"
NAN = "savanna.errors.GaveUp: The environment gave a reward of nan."
FULL = "savanna.errors.SavannaError: cannot write runs/x: No space left on device"
TEMPORARY = "OSError: [Errno 28] No space left on device: '/tmp/x'"


def tries(*failures, most=3):
    """Whether each failure is followed by another try; `None`: an iteration ends instead."""
    retries, found, steps = Retries(most), [], 0
    for number, failure_ in enumerate(failures):
        if failure_ is None:
            steps += 100
            retries.progressed(steps)
            continue
        text = failure_.format(number, 10 * number)
        refused = retries.refused(text, text)
        found.append(refused is None)
        if refused is None:
            retries.begin(0)
            steps = 0
    return found


@pytest.mark.parametrize(
    ("failures", "tried"),
    [
        ((KILLED, KILLED, KILLED, KILLED), [True, True, True, False]),
        ((RAISED, RAISED), [True, False]),
        ((RAISED, None, RAISED, None, RAISED), [True, True, True]),
        ((None, RAISED, RAISED), [True, False]),
        ((RAISED, BUG, RAISED), [True, True, True]),
        ((BUG, BUG), [True, False]),
        ((NAN,), [False]),
        ((FULL,), [False]),
        ((TEMPORARY,), [False]),
        ((None, NAN), [False]),
    ],
)
def test_what_may_help_is_tried_again(failures, tried):
    assert tries(*failures) == tried


def test_an_iteration_without_new_steps_is_no_progress():
    retries = Retries(3)
    retries.progressed(500)
    assert retries.refused("all are lost", RAISED) is None
    assert retries.begin(500) == "1 of 3"
    retries.progressed(500)
    assert "the same way twice" in retries.refused("all are lost", RAISED)


def test_without_retries_nothing_is_said_of_them():
    assert Retries(0).refused("x", KILLED) == ""
    one = Retries(1)
    one.begin(0)
    assert one.refused("x", KILLED) == "Retries are used up: 1."


def recording_of(run: RunDirectory, most: int, reason=None):
    """A recording with one trial, which has failed; the trial, and what is said."""
    said: list[str] = []
    record = TrialRecord(run, [MetricsCsv()], {}, retries=Retries(most))
    record.recorders[0].start(run, {}, True)
    record.warn = said.append  # type: ignore[method-assign]
    stop = SimpleNamespace(reason=reason)
    recording = RunRecording(lambda t: record, stop, lambda *_: None)
    file = run.path.parent / "error.txt"
    file.write_text(f"Failure # 1 (occurred at noon)\n{BUG}\nFailure # 2 (occurred at one)\n")
    with file.open("a") as handle:
        handle.write(KILLED.format(44, ""))
    trial = SimpleNamespace(trial_id="a", status="RUNNING", error_file=str(file))
    return recording, trial, record, said


def fail(recording: RunRecording, trial) -> bool:
    """As Tune does: ask, then tell."""
    again = recording.may_try_again(trial)
    tell = recording.on_trial_recover if again else recording.on_trial_error
    tell(0, [trial], trial)
    return again


def test_a_retry_goes_back_to_the_newest_whole_checkpoint(copied, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    run = RunDirectory.find("latest", copied / "runs")
    cut = run.checkpoint_path(2) / "learner_group/learner/state.pkl"
    cut.write_bytes(cut.read_bytes()[:100])
    recording, trial, record, said = recording_of(run, most=2)
    [csv] = record.recorders
    csv.record(result(4))
    assert fail(recording, trial)
    assert said == [
        f"{run.id} failed with: The training process (process 44) on node 10.0.0.9 died: it raised "
        "no error, so it was killed, or its node was lost; trying again (1 of 2) from iteration 2."
    ]
    assert [c.number for c in run.checkpoints()] == [0, 1]
    assert (run.path / "discarded/checkpoint_000002").is_dir()
    for iteration in (3, 4):
        csv.record(result(iteration))
    assert [row["iteration"] for row in run.metrics()] == [1, 2, 3, 4]


def test_a_trial_that_is_given_up_says_why_and_what_is_kept(copied, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    run = RunDirectory.find("latest", copied / "runs")
    recording, trial, _, _ = recording_of(run, most=0)
    assert not fail(recording, trial)
    cause = run.status["cause"]
    assert run.status["state"] == "failed"
    assert "(process 44) on node 10.0.0.9 died" in cause and "a bug" not in cause
    assert f"Details are in {run.log}. 3 checkpoints are kept, the newest of iteration 3." in cause
    assert "train --resume" in cause


def test_who_was_asked_to_stop_does_not_try_again(copied, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    run = RunDirectory.find("latest", copied / "runs")
    recording, trial, _, _ = recording_of(run, most=5, reason="SIGTERM received")
    assert not fail(recording, trial)


def test_a_run_without_a_whole_checkpoint_begins_again(copied, monkeypatch):
    monkeypatch.setattr(failure, "LATE_SECONDS", 0)
    run = RunDirectory.find("latest", copied / "runs")
    for info in run.checkpoints():
        (run.checkpoint_path(info.number) / "rllib_checkpoint.json").write_text("{")
    recording, trial, _, said = recording_of(run, most=1)
    assert fail(recording, trial)
    assert said[0].endswith("trying again (1 of 1) from iteration 0.")
    assert run.checkpoints() == [] and run.metrics() == []


def test_one_of_several_runs_is_tried_again_alone(tmp_path):
    """The one that fails keeps its drawn value and its directory, and has no row twice."""
    shutil.copy(Path(__file__).with_name("stuck_envs.py"), tmp_path)
    settings = ("train_batch_size_per_learner=100", "minibatch_size=50")
    settings += (f"env_config.folder={tmp_path}", "env_config.value=grid(3,5)")
    words = [word for setting in settings for word in ("--set", setting)]
    few = ("--num-env-runners", "0", "--set", "num_envs_per_env_runner=2", "--max-failures", "2")
    command = ("train", "gym", "--env", "stuck_envs:Fails", *QUICK, *few, *words)
    ended = savanna(*command, "--checkpoint-freq", "1", "--stop", "iterations=5", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    runs = [RunDirectory(p.parent) for p in sorted(tmp_path.glob("runs/gym/*/config.json"))]
    assert [run.config["overrides"]["env_config.value"] for run in runs] == [3, 5]
    assert [run.status["state"] for run in runs] == ["succeeded", "succeeded"]
    for run in runs:
        assert [row["iteration"] for row in run.metrics()] == [1, 2, 3, 4, 5]
    [line] = [x for x in ended.stderr.splitlines() if "trying again" in x]
    assert "RuntimeError: the wheel fell off; trying again (1 of 2) from iteration" in line
    assert sum(run.id in line for run in runs) == 1
