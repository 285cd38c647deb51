"""`make bench-containers`: what containers cost compared with `savanna train` without them.

Every round trains Pong for the same number of agent steps
- as `savanna train pong` does on this machine,
- in a local Ray with the cluster's CPUs and env runners, without containers,
- on the cluster of one head and two workers.
The first iteration of each is left out of the rates.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.page import hardware, keep

ROOT = Path(__file__).parents[1]
IMPORTABLE = f"{ROOT}{os.pathsep}{ROOT / 'training'}"
NAME, PORT = "savanna-bench", "18266"
LOGS = "/tmp/ray/session_latest/logs"
NODES = [f"{NAME}-head", f"{NAME}-worker-1", f"{NAME}-worker-2"]
SIZES = ("--head-cpus", "2", "--worker-cpus", "1")
PONG = (
    "pong",
    "--stop",
    "none",
    "--checkpoint-freq",
    "0",
    "--no-checkpoint-at-end",
    "--evaluate-episodes",
    "0",
    "--no-video",
    "--no-report",
)


def call(*command: str, folder: Path, **environment: str) -> str:
    result = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": IMPORTABLE, **environment},
    )
    if result.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{result.stdout[-1000:]}{result.stderr[-3000:]}")
    return result.stdout


def rate(metrics: str) -> float:
    """Trained agent steps per second after the first iteration."""
    rows = list(csv.DictReader(io.StringIO(metrics)))
    first, last = rows[0], rows[-1]
    steps = float(last["agent_steps_trained"]) - float(first["agent_steps_trained"])
    return steps / (float(last["seconds"]) - float(first["seconds"]))


def native(folder: Path, steps: int) -> float:
    stop = ("--stop", f"agent_steps={steps}")
    command = (sys.executable, "-m", "savanna", "train", *PONG, *stop, "--address", "local")
    run = Path(call(*command, folder=folder).split()[-1])
    return rate((folder / run / "metrics.csv").read_text())


def native_cluster(folder: Path, steps: int) -> float:
    """The CPUs and env runners of the containers, in one local Ray."""
    script = (
        "import ray, sys; from savanna.cli import main;"
        "ray.init(num_cpus=4, include_dashboard=False, object_store_memory=2**29,"
        " logging_level='ERROR'); sys.exit(main(sys.argv[1:]))"
    )
    stop = ("--num-env-runners", "3", "--stop", f"agent_steps={steps}")
    command = (sys.executable, "-c", script, "train", *PONG, *stop, "--address", "local")
    settings = {"RAY_worker_niceness": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
    run = Path(call(*command, folder=folder, **settings).split()[-1])
    return rate((folder / run / "metrics.csv").read_text())


def inside(node: str, *command: str) -> str:
    docker = os.environ.get("DOCKER", "docker")
    result = subprocess.run([docker, "exec", node, *command], capture_output=True, text=True)
    return result.stdout


def received_and_sent(node: str) -> int:
    """Bytes over the cluster's network, in both directions."""
    found = re.search(r"eth0:\s*(\d+)(?:\s+\d+){7}\s+(\d+)", inside(node, "cat", "/proc/net/dev"))
    assert found, f"{node} has no eth0"
    return int(found[1]) + int(found[2])


def containers(folder: Path, steps: int) -> dict[str, float]:
    savanna = (sys.executable, "-m", "savanna")
    before = [received_and_sent(node) for node in NODES[1:]]
    began = time.monotonic()
    stop = ("--num-env-runners", "3", "--stop", f"agent_steps={steps}")
    job = call(*savanna, "submit", *PONG, *stop, folder=folder).strip()
    first = None
    # Checked rarely and from inside: answering the Jobs API would slow down the head's training.
    while not inside(
        NODES[0],
        "bash",
        "-c",
        f"grep -sE 'succeeded|failed|stopped' {LOGS}/job-driver-{job}.phases",
    ):
        if first is None and inside(NODES[0], "bash", "-c", "ls /results/pong/2*/nodes.json"):
            first = time.monotonic() - began
        time.sleep(1 if first is None else 3)
    found: dict[str, Any] = json.loads(call(*savanna, "wait", job, "--json", folder=folder))
    if first is None:
        sys.exit(f"{job} trained nothing")
    run = f"/results/{found['run']}"
    sampled = json.loads(inside(NODES[0], "cat", f"{run}/nodes.json"))
    addresses = [inside(node, "hostname", "-i").strip() for node in NODES[1:]]
    moved = sum(received_and_sent(n) for n in NODES[1:]) - sum(before)
    return {
        "trained": rate(inside(NODES[0], "cat", f"{run}/metrics.csv")),
        "first iteration": first,
        "bytes": moved / sum(sampled[a] for a in addresses),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--agent-steps", type=int, default=150_000, help="length of each measurement"
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--image", default="savanna-cpu:latest")
    options = parser.parse_args()
    plain, same, contained = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        local = (sys.executable, "-m", "infra.local")
        up = (*local, "up", "--name", NAME, "--port", PORT, "--image", options.image, *SIZES)
        joined = []
        try:
            for turn in range(options.rounds):
                print(f"round {turn + 1} of {options.rounds} ...", file=sys.stderr, flush=True)
                plain.append(native(folder, options.agent_steps))
                same.append(native_cluster(folder, options.agent_steps))
                began = time.monotonic()
                call(*up, folder=folder)
                joined.append(time.monotonic() - began)
                contained.append(containers(folder, options.agent_steps))
                call(*local, "down", "--name", NAME, "--discard", folder=folder)
        finally:
            subprocess.run([*local, "down", "--name", NAME, "--discard"], cwd=ROOT, check=False)
    middle = {key: statistics.median(one[key] for one in contained) for key in contained[0]}
    native_rate, same_rate = statistics.median(plain), statistics.median(same)
    how = f"Medians (rounds: {options.rounds}, {options.agent_steps:,} agent steps each)"
    table = (
        "| Pong, trained agent steps per second | |\n| --- | ---: |\n"
        f"| `savanna train pong`, no containers | {native_rate:,.0f} |\n"
        f"| one Ray with 4 CPUs promised and 3 env runners, no containers | {same_rate:,.0f} |\n"
        f"| head and two workers in containers, 3 env runners | {middle['trained']:,.0f} |\n\n"
        f"containers against `savanna train`: ratio {middle['trained'] / native_rate:.2f}; against "
        f"the same processes without containers: ratio {middle['trained'] / same_rate:.2f}\n\n"
        f"From `cluster-up` to three joined nodes {statistics.median(joined):.0f} s; from `submit` "
        f"to the end of the first iteration {middle['first iteration']:.0f} s; "
        f"{middle['bytes']:,.0f} bytes over the network for each agent step of a worker.\n\n"
        f"{hardware(how)}"
    )
    print(table)
    keep("containers", table)


if __name__ == "__main__":
    main()
