"""The job commands against a real Ray head that requires a token."""

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from command import IMPORTABLE, finish, kill, savanna, savanna_command, started
from command import run as run_command
from waiting import wait_until

from savanna.runs.checkpoints import checkpoints_in

SECONDS = 1.0
"""Between two looks at the jobs, each of which takes 0.3 s of a CPU."""
LAZY = """
import time
from gymnasium.envs.classic_control import CartPoleEnv

class Lazy(CartPoleEnv):
    def step(self, action):
        time.sleep(0.02)
        return super().step(action)
"""
"""An environment that leaves the CPUs to others."""
TINY = ("--evaluate-episodes", "0", "--no-video", "--no-report", "--num-env-runners", "0")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def job_environment():
    """Without variables that point to another cluster."""
    return {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}


def answers(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="module")
def head(tmp_path_factory):
    """A working folder whose `.savanna/cluster.json` names a head of our own."""
    folder = tmp_path_factory.mktemp("submitter")
    token = folder / "token"
    token.write_text(secrets.token_hex(24))
    token.chmod(0o600)
    results, own = folder / "results", folder / "ray"
    results.mkdir()
    gcs, dashboard, agent, client = free_ports(4)
    environment = job_environment() | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": IMPORTABLE,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    # Ray's sockets have paths of at most 107 characters.
    short = Path("/tmp") / f"sv-{secrets.token_hex(4)}"
    short.symlink_to(own)
    own.mkdir()
    command = [
        Path(sys.executable).with_name("ray"),
        "start",
        "--head",
        "--block",
        "--temp-dir",
        short,
        "--port",
        gcs,
        "--num-cpus",
        "3",
        "--object-store-memory",
        200 * 10**6,
        "--dashboard-host",
        "127.0.0.1",
        "--dashboard-port",
        dashboard,
        "--ray-client-server-port",
        client,
        "--dashboard-agent-listen-port",
        agent,
        "--min-worker-port",
        "0",
        "--max-worker-port",
        "0",
    ]
    with (
        (folder / "head.log").open("w") as log,
        started(command, env=environment, stdout=log, stderr=log, cwd=folder) as process,
    ):
        wait_until(lambda: answers(dashboard) or process.poll() is not None)
        assert process.poll() is None, (folder / "head.log").read_text()
        (folder / ".savanna").mkdir()
        cluster = {
            "name": "test",
            "address": f"http://127.0.0.1:{dashboard}",
            "token_file": str(token),
            "results": str(results),
        }
        (folder / ".savanna/cluster.json").write_text(json.dumps(cluster))
        yield folder
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)  # a busy machine may take longer to drain
        kill(process)
    short.unlink()


@pytest.fixture
def run(head, monkeypatch):
    """Run `savanna` in the submitter's folder."""
    for name in [n for n in os.environ if n.startswith("RAY_")]:
        monkeypatch.delenv(name)

    def call(*arguments):
        result = savanna(*arguments, cwd=head)
        token = (head / "token").read_text()
        assert token not in result.stdout + result.stderr
        return result

    return call


def state_of(run, job):
    return json.loads(run("status", job, "--json").stdout)


@pytest.fixture(scope="module")
def succeeded(head):
    """The id of a job that has succeeded."""
    command = savanna_command("submit", "cartpole", "--stop", "iterations=2", *TINY, "--wait")
    environment = job_environment() | {"PYTHONPATH": IMPORTABLE}
    result = run_command(command, check=True, timeout=400, cwd=head, env=environment)
    job, state = result.stdout.split()
    assert state == "succeeded" and "running (cartpole/" in result.stderr
    return job


def test_a_job_from_submit_to_fetch(head, run, succeeded):
    table = run("status")
    assert table.returncode == 0
    assert succeeded in table.stdout and "succeeded" in table.stdout
    state = state_of(run, succeeded)
    assert (state["state"], state["cause"], state["exit_code"]) == ("succeeded", None, 0)
    for arguments in (["logs", succeeded], ["logs", "-f", succeeded]):
        logs = run(*arguments)
        assert logs.returncode == 0
        assert "Building env runners" in logs.stdout and '"phase"' not in logs.stdout
    fetched = run("fetch", succeeded)
    assert fetched.returncode == 0, fetched.stderr
    path = head / fetched.stdout.strip()
    assert path == head / "runs" / state["run"]
    there = head / "results" / state["run"]
    files = [p for p in there.rglob("*") if p.is_file() and not p.name.startswith(".")]
    names = {p.relative_to(there) for p in files}
    assert {p.relative_to(path) for p in path.rglob("*") if p.is_file()} == names
    assert all((path / n).read_bytes() == (there / n).read_bytes() for n in names)
    assert run("evaluate", "--episodes", "1", state["run"]).returncode == 0

    # evaluating changed the copy: it is not overwritten unless requested
    (path / "metrics.csv").write_text("mine")
    refused = run("fetch", state["run"])
    assert refused.returncode == 2 and "--force" in refused.stderr
    assert (path / "metrics.csv").read_text() == "mine"
    assert run("fetch", state["run"], "--force").returncode == 0
    assert (path / "metrics.csv").read_bytes() == (there / "metrics.csv").read_bytes()
    assert [j["job"] for j in json.loads(run("status", "--json").stdout)] == [succeeded]


def test_a_killed_job_goes_on_and_a_stopped_one_leaves_a_checkpoint(head, run):
    known = {j["job"] for j in json.loads(run("status", "--json").stdout)}
    command = savanna_command(
        "submit",
        "cartpole",
        "--stop",
        "none",
        "--stop",
        "iterations=100000",
        "--checkpoint-freq",
        "1",
        "--seed",
        "5",
        *TINY,
        "--wait",
        "--retries",
        "1",
        "--json",
    )
    environment = job_environment() | {"PYTHONPATH": IMPORTABLE}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def running():
        """The job that has started in the meantime, once its run has a checkpoint."""
        states = json.loads(run("status", "--json").stdout)
        new = [j for j in states if j["job"] not in known and j["state"] == "running"]
        return new[0] if new and new[0]["resumable"] else None

    with started(command, cwd=head, env=environment, **pipes) as process:
        first = wait_until(running, every=SECONDS)
        late = run("wait", first["job"], "--timeout", "0s")
        assert late.returncode == 1 and "it continues" in late.stderr
        folder = head / "results" / first["run"]
        os.kill(json.loads((folder / "status.json").read_text())["pid"], signal.SIGKILL)
        known.add(first["job"])

        second = wait_until(running, every=SECONDS)
        assert second["run"] == first["run"], "it goes on where the killed one was"
        stopped = run("stop", second["job"])
        assert (stopped.returncode, stopped.stdout) == (0, "stopped\n"), stopped.stderr
        assert f"savanna submit --resume {first['run']}" in stopped.stderr
        out, said = finish(process, 200)
    assert process.returncode == 130, said
    assert "SIGKILL" in said and f"from the last checkpoint of {first['run']}" in said
    assert json.loads(out)["state"] == "stopped"
    waited = run("wait", second["job"])
    assert waited.returncode == 130 and "SIGTERM received" in waited.stderr

    rows = (folder / "metrics.csv").read_text().splitlines()[1:]
    assert [int(row.split(",")[0]) for row in rows] == list(range(1, len(rows) + 1))
    newest = checkpoints_in(folder)[-1]
    assert newest.iteration == len(rows), "a checkpoint after the last iteration"


def test_a_job_that_is_refused_says_why_and_is_not_tried_again(run):
    failed = run("submit", "--resume", "cartpole/nowhere", "--wait", "--retries", "1")
    assert failed.returncode == 2, failed.stderr
    job, state = failed.stdout.split()
    assert state == "failed"
    assert f"{job} failed: no run 'cartpole/nowhere'" in failed.stderr
    assert run("wait", job).returncode == 2
    assert "no run 'cartpole/nowhere'" in state_of(run, job)["cause"]


def test_a_second_job_says_what_it_waits_for_and_starts_when_that_is_free(head, run):
    """Case 06b: the first has two of three CPUs, the others need two each as well."""
    options = ("--evaluate-episodes", "0", "--no-video", "--no-report", "--num-env-runners", "1")
    (head / "lazy.py").write_text(LAZY)
    lazy = ("--env", "lazy:Lazy", "--set", "train_batch_size_per_learner=64", "--stop", "none")
    more = ("--set", "minibatch_size=64", "--stop", "iterations=100000")
    first = run("submit", "gym", *lazy, *more, *options).stdout.strip()
    wait_until(lambda: state_of(run, first)["state"] == "running", every=SECONDS)
    stop = ("--stop", "iterations=2")
    second, third = (
        run("submit", "cartpole", "--seed", seed, *stop, *options).stdout.strip() for seed in "23"
    )
    for job in (second, third):
        waiting = wait_until(
            lambda: (s := state_of(run, job))["state"] == "waiting" and s, every=SECONDS
        )
        assert waiting["detail"] == f"2 of 3 CPUs are taken by {first}"
    assert run("status").stdout.count(f"waiting: 2 of 3 CPUs are taken by {first}") == 2
    assert f"Waiting: 2 of 3 CPUs are taken by {first}." in run("logs", second).stdout
    assert run("stop", third).returncode == 0
    stopped = state_of(run, third)
    assert stopped["state"] == "stopped" and "SIGTERM received" in stopped["cause"], stopped
    assert run("stop", first).returncode == 0
    ended = run("wait", second)
    assert (ended.returncode, ended.stdout) == (0, "succeeded\n"), ended.stderr


def test_a_large_run_is_fetched_in_pieces(head, run):
    """What Ray can read among its logs: pieces of a binary file, from the middle on."""
    folder = head / "results/pong/large"
    (folder / "checkpoint_000000").mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    model = Path("checkpoint_000000/model.bin")
    content = secrets.token_bytes(2 * 8 * 2**20 + 1000)
    (folder / model).write_bytes(content)
    broken = head / "runs/pong/.fetch-large" / model
    broken.parent.mkdir(parents=True)
    broken.write_bytes(content[: 12 * 2**20])
    fetched = run("fetch", "pong/large")
    assert fetched.returncode == 0, fetched.stderr
    assert (head / "runs/pong/large" / model).read_bytes() == content
    assert "pong/large: 16.8 of 16.8 MB (100%)" in fetched.stderr
    assert not broken.parent.exists()


def test_nodes_that_never_come(run):
    failed = run("submit", "cartpole", "--workers", "2", "--start-timeout", "2s", "--wait")
    assert failed.returncode == 1
    assert "waiting for nodes: 2 missing; joined: none" in failed.stderr
    assert "0 of 2 workers joined within 2 s; 2 missing" in failed.stderr


def test_files_go_along(head, run):
    """The module of the environment and another one can be imported where the job runs."""
    (head / "my_game.py").write_text(
        "import gymnasium as gym\nimport helper\ndef Game(): return gym.make('CartPole-v1')\n"
    )
    (head / "helper.py").write_text("")
    submitted = run(
        "submit", "cartpole", "--env", "my_game:Game", "--py-modules", "helper.py", "--json"
    )
    assert submitted.returncode == 0, submitted.stderr
    job = json.loads(submitted.stdout)["job"]
    run("stop", job)
    from savanna.jobs.client import JobExists, JobsClient
    from savanna.jobs.known_cluster import find_cluster

    client = JobsClient(find_cluster(head / ".savanna/cluster.json"))
    with pytest.raises(JobExists):
        client.submit_job(entrypoint="true", submission_id=job)
    info = client.get_job_info(job)
    assert info.runtime_env["working_dir"].startswith("gcs://")
    assert "--env my_game:Game" in info.entrypoint and "--py-modules" not in info.entrypoint


def test_the_wrong_token_an_unknown_job_and_a_lost_one(head, run):
    (head / "wrong").write_text("x" * 48)
    refused = run("status", "--token-file", "wrong")
    assert refused.returncode == 1
    assert refused.stderr == "savanna: the cluster refused the token in wrong\n"
    for command in ("status", "logs", "stop", "wait", "fetch"):
        unknown = run(command, "nowhere")
        assert unknown.returncode == 2 and "no job 'nowhere'" in unknown.stderr

    from savanna.jobs.records import Record

    address = json.loads((head / ".savanna/cluster.json").read_text())["address"]
    record = Record("pong-lost", address, "pong", "savanna train", "2026-11-21T06:55:00+00:00")
    record.save(head / ".savanna/jobs")
    lost = run("wait", "pong-lost")
    assert (lost.returncode, lost.stdout) == (1, "failed\n")
    assert "no longer knows this job: its head was restarted or replaced" in lost.stderr
    assert "pong-lost" in run("status").stdout
