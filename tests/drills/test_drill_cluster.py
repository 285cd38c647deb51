"""Faults on a cluster of containers: lost, stopped and unreachable nodes under a training run."""

import json
import os
import signal
import time
from contextlib import contextmanager, suppress

import pytest
from command import ours, run, savanna_command, started
from container_cluster import NAME, PONG
from docker_engine import docker
from drill_scene import LIMIT, Scene
from small_pong import SMALL

pytestmark = pytest.mark.timeout(900)
HEAD, WORKER = f"{NAME}-head", f"{NAME}-worker-1"


class Job:
    """A Pong that trains on all nodes, with a checkpoint after each iteration."""

    def __init__(self, scene: Scene, cluster) -> None:
        self.scene, self.cluster = scene, cluster
        more = ("--stop", "agent_steps=100000000", "--checkpoint-freq", "1", "--keep", "2")
        self.job = cluster.submit(*PONG, *SMALL, *more)
        self.run = cluster.running(self.job)
        cluster.wait_for("two checkpoints", lambda: cluster.kept(self.run) >= 2)

    def rows(self) -> int:
        return len(self.cluster.metrics(self.run))

    def fault(self, what: str) -> None:
        self.scene.pause(2)
        self.before, self.at = self.cluster.kept(self.run), time.monotonic()
        self.scene.found.fault = what

    def goes_on(self, iterations: int = 3) -> None:
        """It trains further, until `LIMIT`."""
        rows = self.rows()
        self.cluster.wait_for("it goes on", lambda: self.rows() >= rows + iterations)
        self.scene.found.seconds = time.monotonic() - self.at
        assert self.scene.found.seconds < LIMIT

    def stop(self, outcome: str) -> None:
        """It ends with a checkpoint of its last iteration."""
        self.cluster.savanna("stop", self.job)
        assert self.cluster.job(self.job)["state"] == "stopped"
        kept, numbers = self.cluster.kept(self.run), self.cluster.metrics(self.run)
        assert [int(float(row["iteration"])) for row in numbers] == [*range(1, len(numbers) + 1)]
        assert kept >= self.before
        self.scene.found.lost = len(numbers) - kept
        self.scene.found.outcome = outcome
        assert kept == len(numbers), "the last iterations were not saved"
        names = self.cluster.head("ps", "-eo", "args")
        assert "savanna train" not in names and "EnvRunner" not in names


@pytest.fixture
def job(scene, cluster):
    made = Job(scene, cluster)
    yield made
    for name in (HEAD, WORKER):
        signal_all(name, signal.SIGCONT)
    cluster.savanna("stop", made.job)
    cluster.up()


def signal_all(container: str, number: int) -> None:
    """Send a signal to every process of a container, from outside."""
    listed = docker("top", container, "-eo", "pid", check=False).stdout.split()[1:]
    for pid in map(int, listed):
        with suppress(ProcessLookupError):
            os.kill(pid, number)


@contextmanager
def rules(container: str, *rules: tuple[str, ...]):
    """iptables rules in the network of `container` while the block runs."""
    pid = json.loads(docker("inspect", container).stdout)[0]["State"]["Pid"]
    inside = ["nsenter", "-t", pid, "-n", "iptables"]
    for rule in rules:
        run([*inside, "-A", *rule], check=True)
    try:
        yield
    finally:
        for rule in rules:
            run([*inside, "-D", *rule])


def test_a_worker_is_killed(job):
    job.fault("SIGKILL to a worker's container")
    docker("kill", WORKER)
    job.goes_on()
    job.stop("goes on without it")


def test_a_worker_is_killed_and_comes_back(job):
    job.fault("SIGKILL to a worker's container, which starts again")
    docker("kill", WORKER)
    job.cluster.up()
    job.goes_on(6)
    job.stop("goes on with it")


def test_a_worker_is_stopped(job):
    job.fault("`docker stop` of a worker")
    docker("stop", "-t", "60", WORKER)
    job.goes_on()
    job.stop("goes on without it")


def test_the_raylet_of_a_worker_is_killed(job):
    job.fault("SIGKILL to a worker's raylet")
    docker("exec", WORKER, "pkill", "-KILL", "-f", "raylet/raylet", check=False)
    job.goes_on()
    job.stop("goes on without it")


@pytest.mark.parametrize("seconds", [3, 20])
def test_a_worker_stands_still_for_a_while(job, seconds):
    job.fault(f"a worker stands still for {seconds} s")
    signal_all(WORKER, signal.SIGSTOP)
    time.sleep(seconds)
    signal_all(WORKER, signal.SIGCONT)
    job.goes_on()
    job.stop("goes on")


def test_a_worker_stands_still_for_good(job):
    job.fault("a worker stands still for good")
    signal_all(WORKER, signal.SIGSTOP)
    job.goes_on()
    job.stop("goes on without it")


def test_the_head_stands_still_for_a_while(job):
    job.fault("the head stands still for 4 s")
    signal_all(HEAD, signal.SIGSTOP)
    time.sleep(4)
    signal_all(HEAD, signal.SIGCONT)
    job.goes_on()
    job.stop("goes on")


def test_a_worker_cannot_reach_the_head(job):
    head = job.cluster.addresses()[HEAD]
    job.fault("every packet between a worker and the head is dropped")
    with rules(WORKER, ("INPUT", "-s", head, "-j", "DROP"), ("OUTPUT", "-d", head, "-j", "DROP")):
        job.goes_on()
    job.stop("goes on without it")


def test_a_worker_cannot_reach_the_head_for_a_moment(job):
    head = job.cluster.addresses()[HEAD]
    job.fault("every packet between a worker and the head is dropped for 3 s")
    with rules(WORKER, ("INPUT", "-s", head, "-j", "DROP"), ("OUTPUT", "-d", head, "-j", "DROP")):
        time.sleep(3)
    job.goes_on()
    job.stop("goes on")


def test_packets_are_lost(job):
    rate = ("-m", "statistic", "--mode", "random", "--probability", "0.1", "-j", "DROP")
    job.fault("a worker's network loses one packet of ten")
    with rules(WORKER, ("INPUT", *rate), ("OUTPUT", *rate)):
        job.goes_on(6)
    job.stop("goes on")


def test_the_job_is_stopped_while_a_worker_stands_still(job):
    job.fault("a worker stands still; `savanna stop`")
    signal_all(WORKER, signal.SIGSTOP)
    job.cluster.savanna("stop", job.job)
    job.scene.found.seconds = time.monotonic() - job.at
    signal_all(WORKER, signal.SIGCONT)
    job.stop("stopped")


@pytest.mark.parametrize("what", ["the head's container", "the driver of the job", "gcs_server"])
def test_it_is_submitted_again_from_the_last_checkpoint(scene, cluster, what):
    more = ("--stop", "iterations=200", "--checkpoint-freq", "1", "--wait")
    quick = ("--evaluate-episodes", "0", "--no-report", "--no-video", "--retries", "1")
    command = savanna_command("submit", *PONG, *SMALL, *more, *quick)
    answer, said = scene.home / "answer", scene.home / "said"
    with (
        answer.open("w") as out,
        said.open("w") as err,
        started(command, cwd=cluster.folder, env=ours(), stdout=out, stderr=err) as waiting,
    ):
        job = cluster.wait_for(
            "the job's id", lambda: answer.read_text().partition("\n")[0], waiting
        )
        name = cluster.running(job)
        cluster.wait_for("two checkpoints", lambda: cluster.kept(name) >= 2)
        scene.pause(2)
        kept, rows, began = cluster.kept(name), len(cluster.metrics(name)), time.monotonic()
        scene.found.fault = f"SIGKILL to {what}"
        if what == "the head's container":
            docker("kill", HEAD)
            cluster.up()
        else:
            pattern = "gcs/gcs_server" if what == "gcs_server" else "savanna[ ]train"
            docker("exec", HEAD, "pkill", "-KILL", "-f", pattern, check=False)
            cluster.up()
        cluster.wait_for("it goes on", lambda: cluster.kept(name) > kept + 2)
        scene.found.seconds = time.monotonic() - began
        cluster.wait_for("the new job", lambda: "Submitting again" in said.read_text())
        assert waiting.poll() is None, said.read_text()
    new = cluster.savanna("status", "--json").stdout
    for each in json.loads(new):
        if each.get("run") == name and each["state"] == "running":
            cluster.savanna("stop", each["job"])
    numbers = [int(float(row["iteration"])) for row in cluster.metrics(name)]
    assert numbers == [*range(1, len(numbers) + 1)]
    scene.found.outcome = "submitted again, resumed"
    scene.found.lost = max(0, rows - kept)
