"""The entry script, by running it."""

import json
import time
from contextlib import contextmanager

import pytest
from docker_engine import docker
from waiting import PATIENCE, wait_until

from infra.facts import facts

TOKEN = "f" * 64
PATH = facts()["TOKEN_PATH"]
HEALTHY = ("python", "-I", "/opt/savanna/healthcheck.py")


@pytest.fixture
def token(tmp_path):
    return token_file(tmp_path)


def token_file(folder):
    file = folder / "token"
    file.write_text(TOKEN)
    file.chmod(0o644)
    return file


@pytest.fixture(scope="module")
def network():
    name = "savanna-entrypoint-test"
    docker("network", "rm", name, check=False)
    docker("network", "create", name)
    yield name
    docker("network", "rm", name)


@pytest.fixture
def containers():
    with removed() as names:
        yield names


@contextmanager
def removed():
    """Names of containers to remove at the end."""
    names = []
    try:
        yield names
    finally:
        for name in names:
            docker("rm", "-f", "-v", name, check=False)


@pytest.fixture(scope="module")
def head(image, network, tmp_path_factory):
    """A healthy head for several tests."""
    token = token_file(tmp_path_factory.mktemp("head"))
    with removed() as names:
        name = start(names, image, "head", token, network, "-e", "NODE_LABELS=pool=head")
        wait_for_health(name)
        yield name


def once(image, *arguments, options=(), timeout=90):
    return docker("run", "--rm", *options, image, *arguments, check=False, timeout=timeout)


def start(containers, image, role, token, network, *options):
    name = f"savanna-entrypoint-{role}-{len(containers)}"
    containers.append(name)
    docker("rm", "-f", "-v", name, check=False)
    docker(
        "run",
        "-d",
        "--name",
        name,
        "--network",
        network,
        "--shm-size=400m",
        "--memory=1600m",
        "-e",
        "OBJECT_STORE_MEMORY=200000000",
        "-e",
        "NUM_CPUS=1",
        "-v",
        f"{token}:{PATH}:ro",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        *options,
        image,
        role,
    )
    return name


def wait_for_health(name):
    check = lambda: docker("exec", name, *HEALTHY, check=False).returncode == 0
    wait_until(check, said=lambda: logs(name), every=0.5)


def logs(name):
    result = docker("logs", name)
    return result.stdout + result.stderr


def exit_code(name):
    return int(docker("wait", name, timeout=PATIENCE).stdout)


def state(name):
    return json.loads(docker("inspect", name).stdout)[0]["State"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), None),
        (("wroker",), "unknown role or command 'wroker'"),
        (("head", "--port=1"), "head takes no arguments, got: --port=1"),
        (("head",), f"no Ray token: put one into the file {PATH}"),
        (("worker",), f"no Ray token: put one into the file {PATH}"),
    ],
)
def test_wrong_use_is_told_in_one_line(image, arguments, says):
    result = once(image, *arguments)
    if says is None:  # the default command explains itself
        assert result.returncode == 0 and "usage: savanna" in result.stdout
    else:
        assert result.returncode == 2 and says in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1


def test_any_other_command_runs_with_its_exit_code(image):
    assert once(image, "bash", "-c", "echo out; exit 7").returncode == 7


def test_an_empty_or_unreadable_token_is_refused(image, token):
    token.write_text("")
    empty = once(image, "head", options=("-v", f"{token}:{PATH}:ro"))
    assert empty.returncode == 2 and "no Ray token" in empty.stderr
    token.write_text(TOKEN)
    token.chmod(0)
    result = once(image, "head", options=("-v", f"{token}:{PATH}:ro"))
    assert result.returncode == 2 and "readable by user savanna (1000)" in result.stderr


def test_too_little_shared_memory_names_the_flag_to_add(image, token):
    result = once(image, "head", options=("-v", f"{token}:{PATH}:ro", "--memory=2g"))
    assert result.returncode == 2
    assert "shared memory is 64 MiB, the object store needs 614 MiB" in result.stderr
    assert "add --shm-size=716m" in result.stderr


def test_a_worker_without_an_address_or_a_head_gives_up(image, token):
    options = ("-v", f"{token}:{PATH}:ro", "--memory=1g", "--shm-size=400m")
    assert "HEAD_ADDRESS is not set" in once(image, "worker", options=options).stderr
    more = (*options, "-e", "HEAD_ADDRESS=127.0.0.1", "-e", "JOIN_TIMEOUT=3")
    began = time.monotonic()
    result = once(image, "worker", options=more)
    assert result.returncode == 1 and time.monotonic() - began < 30
    assert "no head answered at 127.0.0.1:6379 within 3 s" in result.stderr


def test_who_waits_for_a_head_is_not_healthy(image, token, network, containers):
    worker = start(containers, image, "worker", token, network, "-e", "HEAD_ADDRESS=127.0.0.1")
    wait_until(lambda: "waiting up to" in logs(worker), said=lambda: logs(worker))
    check = docker("exec", worker, *HEALTHY, check=False)
    assert check.returncode == 1 and "no answer from" in check.stdout


def test_a_wrong_token_does_not_join(image, head, network, containers, tmp_path):
    other = tmp_path / "other"
    other.write_text("0" * 64)
    other.chmod(0o644)
    worker = start(containers, image, "worker", other, network, "-e", f"HEAD_ADDRESS={head}")
    assert exit_code(worker) != 0
    assert "ray ended with exit code" in logs(worker)


def test_a_sick_head_is_found_out(head):
    docker("exec", head, "pkill", "-STOP", "gcs_server")
    result = docker("exec", head, *HEALTHY, check=False)
    docker("exec", head, "pkill", "-CONT", "gcs_server")
    assert result.returncode == 1 and "gcs_healthz" in result.stdout
    wait_for_health(head)


def test_head_and_worker_join_report_health_and_drain(image, head, token, network, containers):
    """Last: it stops the head."""
    worker = start(
        containers,
        image,
        "worker",
        token,
        network,
        "-e",
        f"HEAD_ADDRESS={head}",
        "-e",
        "RAY_CLOUD_INSTANCE_ID=vm-7",
        "-e",
        "RAY_NODE_TYPE_NAME=cpu",
    )
    wait_for_health(worker)
    script = (
        "import ray, json; ray.init('auto', logging_level='ERROR'); print(json.dumps("
        "[[n['Alive'], n['Labels'], n['Resources']] for n in ray.nodes()]))"
    )
    nodes = json.loads(docker("exec", head, "python", "-c", script).stdout.splitlines()[-1])
    assert len(nodes) == 2 and all(alive for alive, _, _ in nodes)
    labels = [labels for _, labels, _ in nodes]
    assert any(one.get("pool") == "head" for one in labels)
    assert {r["object_store_memory"] for _, _, r in nodes} == {200000000.0}
    environment = docker(
        "exec", worker, "bash", "-c", "tr '\\0' '\\n' </proc/$(pgrep raylet)/environ"
    )
    assert "RAY_CLOUD_INSTANCE_ID=vm-7" in environment.stdout
    assert TOKEN not in environment.stdout

    fixed = {int(value) for key, value in facts().items() if key.endswith("_PORT")}
    workers = range(int(facts()["MIN_WORKER_PORT"]), int(facts()["MAX_WORKER_PORT"]) + 1)
    for name in (head, worker):
        found = open_ports(name)
        assert found and all(port in fixed or port in workers for port in found), found

    docker("stop", "-t", facts()["STOP_TIMEOUT"], worker)
    assert "worker was asked to stop: draining" in logs(worker)
    assert state(worker)["ExitCode"] == 0, logs(worker)
    assert docker("exec", head, *HEALTHY).returncode == 0
    docker("stop", "-t", facts()["STOP_TIMEOUT"], head)
    assert state(head)["ExitCode"] == 0, logs(head)


def open_ports(name):
    """TCP ports that the container listens on, except Docker's own name server."""
    text = docker("exec", name, "cat", "/proc/net/tcp", "/proc/net/tcp6").stdout
    rows = [line.split() for line in text.splitlines() if " 0A " in line]
    return {int(row[1].rpartition(":")[2], 16) for row in rows if not row[1].startswith("0B00007F")}
