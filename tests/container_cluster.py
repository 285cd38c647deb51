"""One cluster of a head and two workers for all tests that need one, in a folder of its own."""

import csv
import io
import json
import re
import sys
from pathlib import Path

import pytest
from command import ours, run, savanna
from docker_engine import docker
from waiting import PATIENCE, wait_until

NAME = "savanna-test"
PORT = 18265
PONG = ("pong", "--num-env-runners", "3", "--stop", "none")
SIZES = ("--head-cpus", "2", "--worker-cpus", "1", "--head-memory", "6g", "--worker-memory", "3g")
# The tests wait for the same things, only for less time: Ray checks a lost node five times before
# it gives up, and work that has nowhere to go leaves a stopped worker when the time is up.
SOONER = ("--env", "RAY_health_check_period_ms=1000", "--env", "DRAIN_TIMEOUT=5")


class Cluster:
    """The cluster, and a user's commands for it."""

    def __init__(self, image: str, folder: Path) -> None:
        self.image, self.folder = image, folder

    def local(self, verb, *arguments, timeout=PATIENCE + 60, name=NAME):
        """`python -m infra.local VERB`, as the make targets call it."""
        more = ()
        if verb == "up":
            more = ("--image", self.image, "--port", PORT, "--timeout", PATIENCE, *SIZES, *SOONER)
        command = [sys.executable, "-m", "infra.local", verb, "--name", name, *more, *arguments]
        return run(command, cwd=self.folder, env=ours(), timeout=timeout)

    def up(self, workers=2, *arguments):
        result = self.local("up", "--workers", workers, *arguments)
        assert result.returncode == 0, result.stderr
        return result.stderr

    def savanna(self, *arguments, timeout=300, **environment):
        return savanna(*arguments, cwd=self.folder, timeout=timeout, **environment)

    def submit(self, *arguments, films=False):
        """The job's id; evaluation, report and, unless asked for, films are left out."""
        quick = ("--evaluate-episodes", "0", "--no-report", *(() if films else ("--no-video",)))
        result = self.savanna("submit", *arguments, *quick)
        assert result.returncode == 0, result.stderr
        return result.stdout.split()[0]

    def job(self, job):
        result = self.savanna("status", job, "--json")
        return json.loads(result.stdout) if result.stdout else {}

    def head(self, *command, check=True):
        """Run a command in the head; its output."""
        return docker("exec", f"{NAME}-head", *command, check=check).stdout

    def read(self, run, name):
        """A JSON file of a run on the head; `None` if there is none."""
        text = self.head("bash", "-c", f"cat /results/{run}/{name} 2>/dev/null", check=False)
        return json.loads(text) if text.strip() else None

    def metrics(self, run):
        """The rows of a run's metrics.csv on the head."""
        return list(csv.DictReader(io.StringIO(self.head("cat", f"/results/{run}/metrics.csv"))))

    def kept(self, run):
        """The iteration of a run's newest checkpoint on the head; 0 if there is none."""
        command = f"cat /results/{run}/checkpoint_*/checkpoint.json 2>/dev/null"
        text = self.head("bash", "-c", command, check=False)
        return max((int(n) for n in re.findall(r'"iteration": (\d+)', text)), default=0)

    def wait_for(self, what, condition, process=None):
        def said():
            try:
                return self.newest_run()
            except pytest.fail.Exception as silent:  # the head may be what is broken
                return silent

        return wait_until(condition, what, process=process, said=said, every=1)

    def newest_run(self):
        """The log of the newest run on the head, for the message of a failed test."""
        say = "cat nodes.json; tail -n3 metrics.csv; tail -n80 train.log; "
        say += "RAY_AUTH_MODE=token timeout 9 ray list actors"
        newest = "/results/$(cd /results; ls -td */*/nodes.json | head -1 | xargs dirname)"
        return self.head("bash", "-c", f"cd {newest}; pwd; date -u; {say}", check=False)

    def running(self, job):
        """The run of `job`, once it is training."""
        return self.wait_for(
            f"{job} trains", lambda: (j := self.job(job)).get("state") == "running" and j.get("run")
        )

    def addresses(self):
        """Container name -> IP address."""
        names = docker("ps", "--filter", f"label=savanna.cluster={NAME}", "--format", "{{.Names}}")
        found = {}
        for name in names.stdout.split():
            networks = json.loads(docker("inspect", name).stdout)[0]["NetworkSettings"]["Networks"]
            found[name] = next(iter(networks.values()))["IPAddress"]
        return found


@pytest.fixture(scope="session")
def cluster(image, tmp_path_factory):
    made = Cluster(image, tmp_path_factory.mktemp("cluster"))
    made.local("down", "--discard")
    try:
        made.up()
        yield made
    finally:
        made.local("down", "--discard")
