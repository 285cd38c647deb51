"""The security rules in front of real Ray nodes: Ray's own traffic passes, nothing else.

The table that Azure gets becomes the firewall of three machines on one switch, on which the entry
script starts a real head and two real workers; a fourth machine in the same virtual network is the
outsider, a fifth is in Bastion's place.
"""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import ip_address
from types import SimpleNamespace

import namespaces
import pytest
from azure_settings import cluster
from waiting import wait_until

from infra.config.ports import CLOSED, rules, security_rules
from infra.facts import ROOT, facts, number

NETWORK = cluster().network
PREFIX = NETWORK.address_space.prefixlen
WORKER_PORTS = range(number("MIN_WORKER_PORT"), number("MAX_WORKER_PORT") + 1)
FIXED = {int(facts()[key]) for key in facts() if key.endswith("_PORT") and "WORKER" not in key}
ENVIRONMENT = {
    "PATH": f"{ROOT}/.venv/bin:{os.environ['PATH']}",
    "HOME": "/tmp/home",
    "TOKEN": "0123456789abcdef" * 4,
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": "/tmp/token",
    "OBJECT_STORE_MEMORY": "200000000",
    "NUM_CPUS": "1",
    "OMP_NUM_THREADS": "1",
}
STARTED = "This command will now block"  # what `ray start --block` prints when everything is up
HEAD = f"{NETWORK.head_address}:{number('HEAD_PORT')}"

# An actor on every node asks every other for an object too large to travel inside a message; the
# dashboard asks every node's agent for its logs, over gRPC, and for those of a job whose driver is
# on a worker, over HTTP. Each fails if its port is missing from the table.
TRAFFIC = """
import time
import numpy, ray
from ray.job_submission import JobSubmissionClient
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On
from ray.util.state import list_logs
ray.init(address="auto", log_to_driver=False)

@ray.remote(num_cpus=0)
class Peer:
    def give(self):
        return numpy.ones(3_000_000)
    def take(self, refs):
        return sum(int(ray.get(ref).sum()) for ref in refs)

nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
peers = [Peer.options(scheduling_strategy=On(node, soft=False)).remote() for node in nodes]
given = [peer.give.remote() for peer in peers]
print(sum(ray.get([peer.take.remote(given) for peer in peers], timeout=60)))
print(len([node for node in nodes if list_logs(node_id=node)]))
client = JobSubmissionClient("http://127.0.0.1:8265")
job = client.submit_job(entrypoint="echo from-a-worker", entrypoint_resources={"node:%s": 0.01})
while not client.get_job_status(job).is_terminal():
    time.sleep(0.5)
print(client.get_job_logs(job).split()[-1])
"""


@pytest.fixture(scope="module")
def nodes(tmp_path_factory):
    """Head, two workers, an outsider and Bastion's place, behind their rules; Ray is running."""
    if not namespaces.available():
        pytest.skip("needs root, network namespaces and iptables")
    logs = tmp_path_factory.mktemp("nodes")
    switch = namespaces.Switch()
    try:
        worker = NETWORK.worker_subnet
        found = SimpleNamespace(
            head=switch.machine("head", str(NETWORK.head_address), PREFIX),
            first=switch.machine("first", str(worker[4]), PREFIX),
            second=switch.machine("second", str(worker[5]), PREFIX),
            outsider=switch.machine("outsider", str(NETWORK.address_space[-9]), PREFIX),
            bastion=switch.machine("bastion", str(NETWORK.bastion_subnet[5]), PREFIX),
        )
        found.ray = {"head": found.head, "first": found.first, "second": found.second}
        for name, machine in found.ray.items():
            role = "head" if name == "head" else "worker"
            machine.protect(security_rules(NETWORK, role))
            where = {} if role == "head" else {"HEAD_ADDRESS": str(NETWORK.head_address)}
            machine.start(logs / name, "images/entrypoint.sh", role, **ENVIRONMENT, **where)
        wait_until(
            lambda: all(STARTED in (logs / name).read_text() for name in found.ray),
            "the nodes start",
            said=lambda: [(logs / name).read_text()[-500:] for name in found.ray],
        )
        yield found
    finally:
        switch.close()


def during(nodes, *command):
    """The result of a command on the head, and every listening socket while it ran."""
    seen = {name: machine.listening() for name, machine in nodes.ray.items()}
    environment = {**ENVIRONMENT, "RAY_ADDRESS": HEAD}
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(nodes.head.execute, *command, **environment)
        while not running.done():
            for name, machine in nodes.ray.items():
                seen[name] |= machine.listening()
            time.sleep(0.5)
    return running.result(), seen


def reachable(sockets) -> set[int]:
    """Ports that listen for connections from other machines."""
    return {
        port
        for address, port, _ in sockets
        if not ip_address(
            address.strip("[]").removeprefix("::ffff:").replace("*", "0.0.0.0")
        ).is_loopback
    }


def test_training_passes_and_every_port_that_ray_opens_is_known(nodes):
    before = {name: machine.denied() for name, machine in nodes.ray.items()}
    result, seen = during(
        nodes,
        "savanna",
        "train",
        "cartpole",
        "--address",
        HEAD,
        "--num-env-runners",
        "2",
        "--stop",
        "iterations=1",
        "--evaluate-episodes",
        "0",
        "--no-video",
        "--no-report",
        "--storage",
        "none",
        "--workers",
        "2",
        "--no-checkpoint-at-end",
    )
    assert result.returncode == 0, result.stderr[-2000:]
    for name in nodes.ray:
        # A worker's process took part on every node, and no unknown port listens.
        assert {port for _, port, _ in seen[name]} & set(WORKER_PORTS), name
        assert reachable(seen[name]) <= FIXED | set(WORKER_PORTS), name
    # The rules must not have stopped anything between these nodes: Ray would have needed it.
    assert {name: machine.denied() for name, machine in nodes.ray.items()} == before


def test_objects_calls_and_logs_travel_between_all_nodes(nodes):
    before = {name: machine.denied() for name, machine in nodes.ray.items()}
    result, _ = during(nodes, "python", "-c", TRAFFIC % nodes.first.address)
    assert result.returncode == 0, result.stderr[-2000:]
    assert result.stdout.split() == [str(3 * 3 * 3_000_000), "3", "from-a-worker"]
    assert {name: machine.denied() for name, machine in nodes.ray.items()} == before


def expected(source: str, destination: str) -> set[int]:
    """Ports that the table opens between two roles."""
    ports = set()
    for rule in rules():
        if (rule.source, rule.destination) == (source, destination):
            for one in rule.ports:
                low, _, high = one.partition("-")
                ports |= set(range(int(low), int(high or low) + 1))
    return ports


@pytest.mark.parametrize(
    ("source", "destination"),
    [("first", "head"), ("head", "first"), ("second", "first"), ("first", "second")],
)
def test_nodes_reach_the_ports_of_the_table_and_no_others(nodes, source, destination):
    closed = {int(facts()[key]) for key in CLOSED}
    ports = sorted({22, 6006, 9999, *FIXED, *closed, *WORKER_PORTS, WORKER_PORTS[-1] + 1})
    machine = nodes.ray[destination]
    got = nodes.ray[source].probe(machine.address, ports)
    roles = ["head" if name == "head" else "worker" for name in (source, destination)]
    assert {port for port, answer in got.items() if answer != "dropped"} == expected(*roles)
    listening = reachable(machine.listening()) & (FIXED - closed)
    assert {port for port, answer in got.items() if answer == "open"} & FIXED == listening & (
        expected(*roles)
    )


def passed(source, nodes, ports) -> list[set[int]]:
    """The ports of every Ray node on which `source` got an answer of any kind."""

    def one(machine) -> set[int]:
        got = source.probe(machine.address, ports, 1.0)
        return {port for port, answer in got.items() if answer != "dropped"}

    with ThreadPoolExecutor() as pool:
        return list(pool.map(one, nodes.ray.values()))


def test_an_outsider_in_the_virtual_network_gets_nothing(nodes):
    every = sorted({22, *FIXED, *WORKER_PORTS, *range(1, 65536, 13)})
    assert passed(nodes.outsider, nodes, every) == [set(), set(), set()]


def test_bastion_reaches_ssh_alone(nodes):
    assert passed(nodes.bastion, nodes, sorted({22, 80, *FIXED, *WORKER_PORTS})) == [{22}] * 3


def test_without_the_last_rule_the_outsider_is_let_in(nodes):
    """So the outsider's silence above is due to the rules, namely the Deny."""
    table = security_rules(NETWORK, "head")
    try:
        nodes.head.protect(table[:-1])
        port = number("HEAD_PORT")
        assert nodes.outsider.probe(nodes.head.address, [port]) == {port: "open"}
    finally:
        nodes.head.protect(table)
