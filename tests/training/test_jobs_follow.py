"""Waiting for a job and following its log, over a cluster that is away now and then."""

from types import SimpleNamespace

import pytest

from savanna.cli import main
from savanna.errors import SavannaError, UsageError
from savanna.jobs.client import JobExists, UnknownJob, Unreachable
from savanna.jobs.follow import follow, wait
from savanna.jobs.jobs import Jobs
from savanna.jobs.records import Record

PHASE = '::savanna {"phase": "running", "run": "pong/1", "checkpoint": true}\n'
DONE = '::savanna {"phase": "succeeded"}\n'
FAST = {"retry": 0.0}


class FakeClient:
    """Plays `script`, one entry a look: (status, log), or an exception."""

    cluster = SimpleNamespace(name="fake", address="http://fake", results="/results")

    def __init__(self, *script):
        self.script, self.submitted, self.log = list(script), [], ""

    def get_job_info(self, job):
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(entry, Exception):
            raise entry
        status, self.log = entry
        return SimpleNamespace(
            submission_id=job,
            status=status,
            message="",
            driver_exit_code=None,
            entrypoint="x",
            metadata={"savanna": "job", "experiment": "pong"},
            start_time=1000,
            end_time=3000,
        )

    def get_job_logs(self, job):
        if isinstance(self.log, Exception):
            raise self.log
        return self.log

    def submit_job(self, **options):
        self.submitted.append(options)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("savanna.jobs.follow.polling", lambda job: 0.0)


def jobs_of(folder, *script):
    return Jobs(FakeClient(*script), folder)


def test_following_writes_every_line_once_whatever_happens(tmp_path):
    away = Unreachable("cannot be reached.")
    jobs = jobs_of(
        tmp_path,
        ("PENDING", ""),
        ("RUNNING", "one\ntw"),
        away,
        away,
        ("RUNNING", away),
        ("RUNNING", f"one\ntwo\n{PHASE}"),
        ("RUNNING", f"one\ntwo\n{PHASE}three\n"),
        away,
        ("SUCCEEDED", f"one\ntwo\n{PHASE}three\n{DONE}no newline"),
    )
    written, said = [], []
    job = follow(jobs, "j", written.append, said.append, **FAST)
    assert "".join(written) == "one\ntwo\nthree\nno newline"
    assert all(text.endswith("\n") for text in written[:-1])
    assert job.state.name == "succeeded"
    assert [s.split(".")[0] for s in said] == ["cannot be reached", "The cluster answers again"] * 2


def test_waiting_outlives_a_short_loss_of_the_connection(tmp_path):
    jobs = jobs_of(
        tmp_path, ("RUNNING", PHASE), Unreachable("away."), ("SUCCEEDED", f"{PHASE}{DONE}")
    )
    said = []
    assert wait(jobs, "j", said.append, **FAST).state.name == "succeeded"
    assert said[0] == "j: running (pong/1)" and len(said) == 3


def test_waiting_gives_up_without_the_cluster(tmp_path):
    jobs = jobs_of(tmp_path, ("RUNNING", PHASE), Unreachable("away."))
    with pytest.raises(Unreachable):
        wait(jobs, "j", lambda _: None, patience=0.0, **FAST)


def test_waiting_with_a_timeout(tmp_path):
    jobs = jobs_of(tmp_path, ("RUNNING", PHASE))
    with pytest.raises(SavannaError, match="still running .* it goes on"):
        wait(jobs, "j", lambda _: None, timeout=0.0)


def test_a_lost_job_is_told_from_one_that_never_was(tmp_path):
    Record("j", "http://fake", "pong", "savanna train", "2026-11-21T06:55:00+00:00").save(tmp_path)
    jobs = jobs_of(tmp_path, ("RUNNING", PHASE), UnknownJob("?"))
    job = wait(jobs, "j", lambda _: None)
    assert (job.state.name, job.state.lost) == ("failed", True)
    assert "restarted or replaced" in job.state.cause
    assert (job.state.run, job.state.resumable) == ("pong/1", True), "as it was last seen"
    with pytest.raises(UsageError, match="no job 'k'"):
        jobs.look("k")


def test_a_job_that_had_ended_is_not_lost(tmp_path):
    Record("j", "http://fake", "pong", "savanna train", "2026-11-21T06:55:00+00:00").save(tmp_path)
    jobs = jobs_of(tmp_path, ("SUCCEEDED", f"{PHASE}{DONE}"), UnknownJob("?"))
    assert jobs.look("j").state.name == "succeeded"
    assert jobs.look("j").state.name == "succeeded"


def test_submitting(tmp_path):
    jobs = jobs_of(tmp_path, UnknownJob("?"))
    job = jobs.submit("pong", ["pong", "--set", "lr=choice(1, 2)"])
    sent = jobs.client.submitted[0]
    assert sent["entrypoint"] == ("savanna train pong --set 'lr=choice(1, 2)' --runs-root /results")
    assert job.startswith("pong-") and sent["submission_id"] == job
    variables = sent["runtime_env"]["env_vars"]
    assert variables == {"SAVANNA_JOB": job, "RAY_JOB_STOP_WAIT_TIME_S": "60"}
    assert jobs.look(job).state.lost


def test_a_job_that_was_not_taken_leaves_no_record(tmp_path):
    jobs = jobs_of(tmp_path, UnknownJob("?"))

    def refuse(**options):
        raise RuntimeError("Request failed with status code 400")

    jobs.client.submit_job = refuse
    with pytest.raises(SavannaError, match="did not take the job"):
        jobs.submit("pong", [])
    assert not list(tmp_path.iterdir())


def test_a_job_that_arrived_though_its_answer_got_lost_is_one_job(tmp_path, monkeypatch):
    monkeypatch.setattr("savanna.jobs.watch.time.sleep", lambda _: None)
    jobs, ids = jobs_of(tmp_path, ("RUNNING", "")), []

    def lose_the_answer(submission_id, **options):
        ids.append(submission_id)
        raise Unreachable("did not answer.") if len(ids) == 1 else JobExists("already")

    jobs.client.submit_job = lose_the_answer
    assert jobs.submit("pong", []) == ids[0] == ids[1]


def test_a_job_lost_with_its_head_is_submitted_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("savanna.jobs.watch.time.sleep", lambda _: None)
    jobs = jobs_of(
        tmp_path,
        ("RUNNING", PHASE),
        Unreachable("cannot be reached."),
        UnknownJob("?"),
        ("RUNNING", ""),
        ("SUCCEEDED", f"{PHASE}{DONE}"),
    )
    monkeypatch.setattr("savanna.cli.submit.open_jobs", lambda options: jobs)
    assert main(["submit", "pong", "--seed", "1", "--wait", "--retries", "3"]) == 0
    first, second = (sent["entrypoint"] for sent in jobs.client.submitted)
    assert first == "savanna train pong --seed 1 --runs-root /results"
    assert second == "savanna train pong --seed 1 --resume pong/1 --runs-root /results"
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) == 3 and printed.out.endswith("succeeded\n")
    assert "restarted or replaced" in printed.err and "retries left after it: 2" in printed.err


def test_ctrl_c_leaves_the_job_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    jobs = jobs_of(tmp_path, ("RUNNING", PHASE), KeyboardInterrupt())
    monkeypatch.setattr("savanna.cli.jobs.open_jobs", lambda options: jobs)
    original = jobs.client.get_job_info

    def interrupted(job):
        if isinstance(jobs.client.script[0], KeyboardInterrupt):
            raise KeyboardInterrupt
        return original(job)

    jobs.client.get_job_info = interrupted
    for command in (["wait", "j"], ["logs", "-f", "j"]):
        assert main(command) == 130
        assert "j goes on. `savanna stop j` stops it." in capsys.readouterr().err
