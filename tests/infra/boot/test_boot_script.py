"""node.sh with a scripted Docker: every step, what is repeated, and giving up."""

import os
from contextlib import ExitStack

import pytest
from azure_stub import AzureStub, Vm
from boot_nodes import WORKER
from command import ROOT, started
from waiting import PATIENCE, wait_until

from infra.facts import facts

TOKEN = "f" * 64
# Records every call; its answers are files in $FAKE.
DOCKER = r"""#!/bin/bash
echo "docker $*" >> "$FAKE/calls"
case "$*" in
  inspect*) cat "$FAKE/condition" 2>/dev/null || exit 1 ;;
  "image inspect"*) [[ -e $FAKE/image ]] ;;
  *login*) cat > "$FAKE/password" ;;
  *pull*)
    [[ -e $FAKE/may-pull ]] || { echo "denied: requested access" >&2; exit 1; }
    touch "$FAKE/image" ;;
  run*) cat "$FAKE/fate" > "$FAKE/condition" ;;
  stop*) echo "exited with exit code 0" > "$FAKE/condition" ;;
  rm*) rm -f "$FAKE/condition" ;;
  logs*) echo "the container's last words" ;;
esac
"""
NOTED = '#!/bin/bash\necho "$(basename "$0") $*" >> "$FAKE/calls"\n'
# The script's pauses, a tenth as long.
SLEEP = '#!/bin/bash\nexec /bin/sleep "$(awk "BEGIN {print $1 / 10}")"\n'


@pytest.fixture
def azure():
    with AzureStub() as stub:
        stub.vms = [Vm("vm", "127.0.0.1", WORKER.identity_client_id)]
        stub.secrets = {(WORKER.identity_client_id, "ray-token-dev"): TOKEN}
        stub.service = WORKER.registry
        yield stub


class Node:
    """A running node.sh."""

    def __init__(self, azure, folder, stack):
        self.azure, self.folder, self.fake = azure, folder, folder / "fake"
        self.stack = stack  # ends what was started
        self.bin = folder / "bin"
        for name in ("fake", "bin", "run", "logs", "state"):
            (folder / name).mkdir()
        self.command("docker", DOCKER)
        self.command("sleep", SLEEP)
        for name in ("dockerd", "systemctl", "wall"):
            self.command(name, NOTED)
        (self.fake / "fate").write_text("healthy")
        self.settings = {
            **facts(),
            **WORKER.settings(),
            "CONTAINER_UID": str(os.getuid()),
            "METADATA_ENDPOINT": azure.url,
            "ARM_ENDPOINT": azure.url,
            "REGISTRY_ENDPOINT": azure.url,
            "BLOB_ENDPOINT": f"{azure.url}/blobs/results/dev",
            "TOKEN_SECRET": f"{azure.url}/vault/secrets/ray-token-dev",
            "RUNTIME_DIRECTORY": str(folder / "run"),
            "LOGS_DIRECTORY": str(folder / "logs"),
            "STATE_DIRECTORY": str(folder / "state"),
            "FAKE": str(self.fake),
            "PATH": f"{self.bin}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "infra/boot"),
        }

    def command(self, name, text):
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def start(self, **settings):
        output = self.stack.enter_context((self.folder / "output").open("w"))
        command, environment = [ROOT / "infra/boot/files/node.sh"], {**self.settings, **settings}
        self.process = self.stack.enter_context(
            started(command, env=environment, stdout=output, stderr=output)
        )

    def said(self):
        return (self.folder / "output").read_text()

    def calls(self):
        return (self.fake / "calls").read_text() if (self.fake / "calls").exists() else ""

    def wait_for(self, condition):
        wait_until(condition, said=lambda: f"{self.said()}\n{self.calls()}")

    def joined(self):
        self.wait_for(lambda: "joined the cluster as worker" in self.said())

    def docker_run(self):
        return next(line for line in self.calls().splitlines() if line.startswith("docker run"))


@pytest.fixture
def node(azure, tmp_path):
    with ExitStack() as stack:
        yield Node(azure, tmp_path, stack)


def test_a_node_comes_up(node, azure):
    (node.fake / "may-pull").touch()
    node.start()
    node.joined()
    token = node.folder / "run/ray-token"
    assert token.read_text().strip() == TOKEN and token.stat().st_mode & 0o777 == 0o400
    assert azure.issued[(node.fake / "password").read_text().strip()][1] == "refresh"
    run = node.docker_run()
    for part in (
        "--network host",
        "--shm-size 20g",
        "--cap-drop ALL",
        "--security-opt no-new-privileges",
        "RAY_CLOUD_INSTANCE_ID=vm-id-of-vm",
        "RAY_NODE_TYPE_NAME=cpu-spot",
        "RAY_NODE_MARKET_TYPE=spot",
        "HEAD_ADDRESS=10.0.0.4",
        f"{token}:{facts()['TOKEN_PATH']}:ro",
        f"logs/ray:{facts()['LOGS_PATH']} ",
        f"{WORKER.image} worker",
    ):
        assert part in run, (part, run)
    assert "--gpus" not in run and "--privileged" not in run
    for secret in (TOKEN, *azure.issued):
        assert secret not in node.calls() + node.said()


def test_a_head_with_a_gpu_asks_for_it_and_for_no_other_head(node):
    (node.fake / "image").touch()
    node.start(ROLE="head", GPUS="2", NODE_TYPE="head")
    node.wait_for(lambda: "docker run" in node.calls())
    assert "--gpus all" in node.docker_run() and "HEAD_ADDRESS" not in node.docker_run()


def test_an_image_by_digest_is_pulled_once_a_tag_every_time(node):
    (node.fake / "image").touch()
    node.start()
    node.joined()
    assert "pull" not in node.calls()
    node.process.terminate()
    assert node.process.wait(PATIENCE) == 0
    (node.fake / "may-pull").touch()
    node.start(IMAGE=f"{WORKER.registry}/savanna-cpu:dev")
    node.wait_for(lambda: "pull --quiet" in node.calls())


def test_docker_is_installed_where_it_is_missing(node):
    (node.bin / "dockerd").unlink()
    node.command("apt-get", NOTED)
    (node.fake / "image").touch()
    node.start(PATH=f"{node.bin}:/bin_without_docker:{without('dockerd', node.folder)}")
    node.joined()
    assert "install --no-install-recommends docker.io" in node.calls()
    assert "apt-get -q update" not in node.calls()


def without(name, folder):
    """A folder with all of this machine's commands except one."""
    made = folder / "commands"
    made.mkdir()
    for directory in ("/usr/bin", "/bin", "/usr/sbin", "/sbin"):
        for entry in os.scandir(directory):
            link = made / entry.name
            if entry.name not in (name, "docker", "apt-get", "systemctl") and not link.exists():
                link.symlink_to(entry.path)
    return made


def test_a_lost_container_is_started_again(node):
    (node.fake / "image").touch()
    node.start()
    node.joined()
    (node.fake / "condition").write_text("exited with exit code 1")
    node.wait_for(lambda: node.said().count("joined the cluster") == 2)
    assert "the container exited with exit code 1: the container's last words" in node.said()


def test_nothing_starts_while_the_machine_is_being_evicted(node):
    (node.fake / "image").touch()
    node.start()
    node.joined()
    (node.folder / "run/evicted").touch()
    (node.fake / "condition").write_text("exited with exit code 0")
    looks = node.calls().count("docker inspect")
    node.wait_for(lambda: node.calls().count("docker inspect") >= looks + 4)
    assert node.calls().count("docker run") == 1
    (node.folder / "run/evicted").unlink()
    node.wait_for(lambda: node.calls().count("docker run") == 2)


def test_when_the_machine_shuts_down_the_container_is_stopped_in_peace(node):
    (node.fake / "image").touch()
    node.start()
    node.joined()
    node.process.terminate()
    assert node.process.wait(PATIENCE) == 0
    assert f"docker stop -t {facts()['STOP_TIMEOUT']} savanna" in node.calls()
    assert node.calls().count("docker run") == 1


@pytest.mark.parametrize(
    ("break_it", "step", "says"),
    [
        (lambda n: n.azure.secrets.clear(), "fetch_token", "403"),
        (lambda n: n.azure.failures.update(exchange=401), "pull", "oauth2/exchange: 401"),
        (lambda n: None, "pull", "denied: requested access"),
        (lambda n: n.azure.vms.clear(), "know_myself", "400"),
        (
            lambda n: ((n.fake / "image").touch(), (n.fake / "fate").write_text("starting")),
            "join",
            "the container's last words",
        ),
    ],
    ids=["vault", "exchange", "pull", "metadata", "join"],
)
def test_who_cannot_join_says_why_and_stops(node, azure, break_it, step, says):
    identity = WORKER.identity_client_id
    break_it(node)
    node.start(JOIN_MINUTES="0.05")
    if azure.vms:
        node.wait_for(lambda: azure.made("deallocate", identity))
        blobs = [c for c in azure.made("blob", identity) if c.detail.endswith("report.txt")]
        assert f"last step: {step};" in blobs[0].body.decode()
    else:  # no identity, no call; the machine is powered off after some attempts
        node.wait_for(lambda: "could not deallocate" in node.said())
    assert says in node.said() and f"step {step} failed" in node.said()
    assert "cpu-spot node: not in the cluster for 0.05 minutes" in node.said()


def test_whoever_waits_for_the_head_may_be_given_longer(node, azure):
    identity = WORKER.identity_client_id
    (node.fake / "image").touch()
    (node.fake / "fate").write_text("starting")
    azure.vms[0].tags = {"savanna-limits": "JOIN_MINUTES=30"}
    node.start(JOIN_MINUTES="0.01")  # the boot data's default
    node.wait_for(lambda: node.calls().count("docker inspect") >= 8)
    assert not azure.made("deallocate", identity)
    assert "container started, " in node.said()
    azure.vms[0].tags = {"savanna-limits": "JOIN_MINUTES=0.01"}
    (node.fake / "condition").write_text("exited with exit code 1")  # it looks again
    node.wait_for(lambda: azure.made("deallocate", identity))
    assert "not in the cluster for 0.01 minutes" in node.said()
