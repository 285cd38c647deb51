"""One process writes a run at a time."""

import contextlib
import json
import os
import shutil
import socket
import sys
import threading
import time
from subprocess import PIPE

import pytest
from command import finish, ours, savanna, savanna_command, started
from waiting import wait_until

from savanna.cli import main
from savanna.errors import SavannaError, UsageError
from savanna.runs import owner
from savanna.runs.checkpoints import MANIFEST
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import FILE, own, owned, read, refuse_living, refuse_owned
from savanna.session import command

QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "pong" / "one"
    folder.mkdir(parents=True)
    return folder


def write(run, **changes):
    content = {"id": "x", "host": "elsewhere", "pid": 1, "since": "noon", "seen": time.time()}
    (run / FILE).write_text(json.dumps(content | changes))


def test_a_living_owner_is_named(run):
    with owned(run):
        with pytest.raises(UsageError, match="still being written"):
            refuse_owned(run)
        with pytest.raises(UsageError) as refused:
            own(run)
        text = str(refused.value)
        assert text.startswith("pong/one is still being written")
        assert f"process {os.getpid()} on {socket.gethostname()}" in text
        assert f"kill -TERM {os.getpid()}" in text
    assert not (run / FILE).exists()
    refuse_owned(run)
    own(run).release()


def test_a_job_is_stopped_by_its_name(run, monkeypatch):
    monkeypatch.setenv("SAVANNA_JOB", "pong-1")
    with owned(run), pytest.raises(UsageError, match="savanna stop pong-1"):
        own(run)


@pytest.mark.parametrize("pid", ["gone", "reused"])
def test_an_owner_that_died_here_is_succeeded_at_once(pid, run):
    number = 2**22 + 1 if pid == "gone" else os.getpid()
    write(run, host=socket.gethostname(), pid=number, born="another-1")
    own(run).release()
    assert read(run) is None


def test_another_machines_owner_is_believed_as_long_as_it_renews(run, monkeypatch, capsys):
    monkeypatch.setattr(owner, "DEAD_SECONDS", 3.0)
    write(run)
    mine = own(run)  # no sign of life
    assert "Checking whether it still is" in capsys.readouterr().err
    assert read(run)["pid"] == os.getpid()
    mine.release()

    write(run)
    timer = threading.Timer(0.3, lambda: write(run, seen=time.time() + 10))
    timer.start()
    with pytest.raises(UsageError, match="process 1 on elsewhere since noon"):
        own(run)
    timer.join()


def test_what_was_last_seen_long_ago_is_not_waited_for(run):
    write(run, seen=time.time() - 3600)
    assert refuse_living(lambda: read(run), "pong/one") == "x"


def test_an_owner_renews(run, monkeypatch):
    monkeypatch.setattr(owner, "BEAT_SECONDS", 0.05)
    with owned(run) as mine:
        first = read(run)["seen"]
        mine.renew()
        wait_until(lambda: read(run)["seen"] > first)


def test_of_many_that_want_a_run_one_gets_it(run):
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from savanna.errors import UsageError\n"
        "from savanna.runs.owner import own\n"
        "sys.stdin.read()\n"
        "try:\n"
        "    own(Path(sys.argv[1]))\n"
        "    print('mine', flush=True)\n"
        "except UsageError as error:\n"
        "    print('not mine', flush=True)\n"
        "import time; time.sleep(60)\n"
    )
    write(run, host=socket.gethostname(), born="another-1")
    command = [sys.executable, "-c", program, str(run)]
    with contextlib.ExitStack() as stack:
        several = [
            stack.enter_context(started(command, stdin=PIPE, stdout=PIPE, env=ours()))
            for _ in range(6)
        ]
        for process in several:
            process.stdin.close()
        answers = [process.stdout.readline() for process in several]
    assert sorted(answers) == sorted(["mine\n"] + ["not mine\n"] * 5)


def test_a_run_that_goes_on_is_not_resumed(tmp_path):
    often = ("--stop", "none", "--checkpoint-freq", "1", "--address", "local")
    command = savanna_command("train", "cartpole", *often, *QUICK)
    pipes = {"stdout": PIPE, "stderr": PIPE}
    with started(command, cwd=tmp_path, env=ours(), **pipes) as writer:
        wait_until(lambda: list(tmp_path.glob("runs/cartpole/*/checkpoint_000000")), process=writer)
        for more in ((), ("--dry-run",)):
            refused = savanna("train", "--resume", "latest", *more, cwd=tmp_path)
            assert refused.returncode == 2, refused.stderr
            assert "is still being written" in refused.stderr and str(writer.pid) in refused.stderr
        writer.terminate()
        _, said = finish(writer, 100)
    assert writer.returncode == 143, said
    run = RunDirectory.find("latest", tmp_path / "runs")
    assert not (run.path / FILE).exists()
    assert run.status["state"] == "stopped" and run.checkpoints()


def test_a_run_is_resumed_in_place_from_any_folder(copied, tmp_path):
    """Case 05."""
    run = RunDirectory.find("latest", copied / "runs")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    more = ("--stop", "iterations=4", *QUICK)
    done = savanna("train", "--resume", str(run.path), *more, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(run.path)
    # MLflow's folder: tests track in a database that is not the run's.
    assert {path.name for path in elsewhere.iterdir()} <= {"mlruns"}
    assert [row["iteration"] for row in run.metrics()] == [1, 2, 3, 4]


def test_commands_together_make_whole_runs_each(tmp_path):
    """One runs folder, one experiment; no run needs what another deletes."""
    few = ("--stop", "iterations=3", "--address", "local", "--num-env-runners", "0")
    command = savanna_command("train", "cartpole", *few, *QUICK)
    pipes = {"stdout": PIPE, "stderr": PIPE}
    with contextlib.ExitStack() as stack:
        several = [
            stack.enter_context(started(command, cwd=tmp_path, env=ours(), **pipes))
            for _ in range(2)
        ]
        for process in several:
            _, said = finish(process, 300)
            assert process.returncode == 0, said
    runs = [RunDirectory(file.parent) for file in tmp_path.glob("runs/cartpole/*/config.json")]
    assert len({run.path.resolve() for run in runs}) == 2
    for run in runs:
        assert [row["iteration"] for row in run.metrics()] == [1, 2, 3]
        assert run.status["state"] == "succeeded" and len(run.checkpoints()) == 1


def test_what_the_owner_before_saved_at_last_is_not_set_aside(copied, monkeypatch):
    run = RunDirectory.find("latest", copied / "runs")
    seen = []

    @contextlib.contextmanager
    def owned_at_last(path):
        shutil.copytree(run.checkpoint_path(2), run.checkpoint_path(3))
        manifest = run.checkpoint_path(3) / MANIFEST
        manifest.write_text(manifest.read_text().replace('"iteration": 3', '"iteration": 4'))
        with owned(path) as owner:
            yield owner

    def plan(request, resumption, machine):
        seen.append(resumption.counters.iteration)
        raise UsageError("enough")

    monkeypatch.chdir(copied)
    monkeypatch.setattr(command, "owned", owned_at_last)
    monkeypatch.setattr(command, "prepare", lambda *anything: None)
    monkeypatch.setattr(command, "_plan", plan)
    assert main(["train", "--resume", "latest", "--address", "local"]) == 2
    assert seen == [4]


def test_who_was_taken_for_dead_does_not_write_on(run, monkeypatch):
    monkeypatch.setattr(owner, "BEAT_SECONDS", 0.01)
    first = own(run)
    first.insist()
    first.renew()
    write(run, id="another", host="elsewhere")
    time.sleep(0.1)
    assert read(run)["id"] == "another"
    with pytest.raises(SavannaError, match="process 1 on elsewhere .* writes pong/one now"):
        first.insist()
    first.release()
    assert read(run)["id"] == "another"
