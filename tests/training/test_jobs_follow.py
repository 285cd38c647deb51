"""Waiting for a job and following its log on a cluster that is sometimes unreachable."""

from types import SimpleNamespace

import pytest

from savanna.cli import main
from savanna.errors import SavannaError, UsageError
from savanna.jobs.client import JobExists, NoSuchFile, UnknownJob, Unreachable
from savanna.jobs.follow import follow, wait
from savanna.jobs.jobs import Jobs
from savanna.jobs.records import Record

PHASE = '{"phase": "running", "run": "pong/1", "checkpoint": true}\n'
DONE = '{"phase": "succeeded"}\n'
FAST = {"retry": 0.0}


class FakeClient:
    """Plays `script`, one entry per check: (status, its phases), or an exception. `tails` are the
    results of following the log, one list for every start.
    """

    cluster = SimpleNamespace(name="fake", address="http://fake", results="/results")

    def __init__(self, *script):
        self.script, self.submitted, self.said = list(script), [], ""
        self.tails, self.read, self.exit_code = [], [], None

    def get_job_info(self, job):
        entry = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        if isinstance(entry, Exception):
            raise entry
        status, self.said = entry
        return SimpleNamespace(
            submission_id=job,
            status=status,
            message="",
            driver_exit_code=self.exit_code,
            driver_node_id=None if status == "PENDING" else "head",
            entrypoint="x",
            metadata={"savanna": "job", "experiment": "pong"},
            start_time=1000,
            end_time=3000,
        )

    def list_jobs(self):
        return [self.get_job_info(job) for job in ("j", "k")]

    def read_file(self, node, name, lines=-1):
        self.read.append((name, lines))
        if not self.said:
            raise NoSuchFile(name)
        yield self.said.encode()

    def tail(self, job):
        for part in self.tails.pop(0):
            if isinstance(part, Exception):
                raise part
            yield part

    def submit_job(self, **options):
        self.submitted.append(options)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch):
    monkeypatch.setattr("savanna.jobs.watch.time.sleep", lambda _: None)


def jobs_of(folder, *script):
    return Jobs(FakeClient(*script), folder)


def test_following_writes_everything_once_whatever_happens(tmp_path):
    away = Unreachable("cannot be reached.")
    jobs = jobs_of(
        tmp_path,
        ("PENDING", ""),
        ("RUNNING", PHASE),  # nothing new for a second
        away,  # the tail broke, and so is the cluster
        away,
        ("RUNNING", PHASE),
        ("RUNNING", PHASE),  # the second tail ended too soon
        ("RUNNING", PHASE),
        ("SUCCEEDED", PHASE + DONE),
    )
    jobs.client.tails = [
        ["one\n", None, "two\nth", away],
        ["one\ntwo\n", "three\n"],
        ["one\ntwo\nthree\nno new", "line"],
    ]
    written, said = [], []
    job = follow(jobs, "j", written.append, said.append, **FAST)
    assert "".join(written) == "one\ntwo\nthree\nno newline"
    assert job.state.name == "succeeded"
    assert [s.split(".")[0] for s in said] == ["cannot be reached", "The cluster answers again"]
    assert all(name == "job-driver-j.phases" for name, _ in jobs.client.read), "no log is read"


def test_following_ends_though_a_tail_does_not(tmp_path):
    jobs = jobs_of(tmp_path, ("RUNNING", PHASE), ("SUCCEEDED", PHASE + DONE))
    jobs.client.tails = [["all\n", *[None] * 100]]
    written = []
    assert follow(jobs, "j", written.append, written.append).state.name == "succeeded"
    assert written == ["all\n"]


def test_states_do_not_cost_logs_and_ended_jobs_are_not_asked(tmp_path):
    Record("j", "http://fake", "pong", "savanna train", "2026-11-21T06:55:00+00:00").save(tmp_path)
    jobs = jobs_of(tmp_path, ("SUCCEEDED", PHASE + DONE))
    assert {job.id: job.state.name for job in jobs.all()} == {"j": "succeeded", "k": "succeeded"}
    assert jobs.client.read == [("job-driver-j.phases", 50), ("job-driver-k.phases", 50)]
    assert len(jobs.all()) == 2
    assert jobs.client.read[2:] == [("job-driver-k.phases", 50)], "j's end is known here"


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
    with pytest.raises(SavannaError, match="still running .* it continues"):
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
    with pytest.raises(SavannaError, match="did not accept the job"):
        jobs.submit("pong", [])
    assert not list(tmp_path.iterdir())


def test_a_job_that_arrived_though_its_answer_got_lost_is_one_job(tmp_path):
    jobs, ids = jobs_of(tmp_path, ("RUNNING", "")), []

    def lose_the_answer(submission_id, **options):
        ids.append(submission_id)
        raise Unreachable("did not answer.") if len(ids) == 1 else JobExists("already")

    jobs.client.submit_job = lose_the_answer
    assert jobs.submit("pong", []) == ids[0] == ids[1]


def test_a_job_lost_with_its_head_is_submitted_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
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
    assert "restarted or replaced" in printed.err and "retries left: 2" in printed.err


def test_a_job_of_several_runs_goes_on_with_those_that_did_not_succeed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    failed = (
        '{"phase": "running", "run": "pong/1", "checkpoint": true, "group": "2026-ab"}\n'
        '{"phase": "failed", "exit_code": 1, "cause": "process 7 died"}\n'
    )
    jobs = jobs_of(tmp_path, ("FAILED", failed), ("SUCCEEDED", f"{PHASE}{DONE}"))
    monkeypatch.setattr("savanna.cli.submit.open_jobs", lambda options: jobs)
    assert main(["submit", "pong", "--seeds", "3", "--wait", "--retries", "1"]) == 0
    again = jobs.client.submitted[1]["entrypoint"]
    assert again == "savanna train pong --seeds 3 --resume-group 2026-ab --runs-root /results"


REFUSED = (
    '{"phase": "failed", "exit_code": 2, '
    '"cause": "pong/1 is being written by process 7 on head."}\n'
)


def test_a_refused_job_is_not_submitted_again(tmp_path, monkeypatch, capsys):
    """Above all a run that is still being written: it would be refused again."""
    monkeypatch.chdir(tmp_path)
    jobs = jobs_of(tmp_path, ("RUNNING", ""), ("FAILED", REFUSED))
    jobs.client.exit_code = 2
    monkeypatch.setattr("savanna.cli.submit.open_jobs", lambda options: jobs)
    monkeypatch.setattr("savanna.cli.jobs.open_jobs", lambda options: jobs)
    assert main(["submit", "--resume", "pong/1", "--wait", "--retries", "3"]) == 2
    assert len(jobs.client.submitted) == 1
    printed = capsys.readouterr()
    assert "failed: pong/1 is being written by process 7 on head." in printed.err
    assert "again" not in printed.err
    assert main(["wait", "j"]) == 2


def test_printed_commands_are_about_the_same_cluster(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    jobs = jobs_of(tmp_path, ("FAILED", PHASE))
    monkeypatch.setattr("savanna.cli.submit.open_jobs", lambda options: jobs)
    monkeypatch.setattr("savanna.cli.jobs.open_jobs", lambda options: jobs)
    given = ["--address", "http://far:1", "--token-file", "my token", "--results", "/r"]
    same = " --address http://far:1 --token-file 'my token' --results /r"
    assert main(["submit", "pong", *given]) == 0
    printed = capsys.readouterr()
    job = printed.out.strip()
    for command in ("status", "logs -f", "stop", "fetch"):
        assert f"savanna {command} {job}{same}\n" in printed.err
    assert main(["wait", job, *given]) == 1
    printed = capsys.readouterr().err
    assert f"savanna fetch {job}{same}\n" in printed
    assert f"savanna submit --resume pong/1{same}\n" in printed
    assert main(["wait", job]) == 1
    assert f"savanna fetch {job}\n" in capsys.readouterr().err


def test_ctrl_c_leaves_the_job_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    jobs = jobs_of(tmp_path, ("RUNNING", PHASE), KeyboardInterrupt())
    jobs.client.tails = [[None]]
    monkeypatch.setattr("savanna.cli.jobs.open_jobs", lambda options: jobs)
    original = jobs.client.get_job_info

    def interrupted(job):
        if isinstance(jobs.client.script[0], KeyboardInterrupt):
            raise KeyboardInterrupt
        return original(job)

    jobs.client.get_job_info = interrupted
    for command in (["wait", "j"], ["logs", "-f", "j"]):
        assert main(command) == 130
        assert "j continues. Stop it with: savanna stop j" in capsys.readouterr().err
