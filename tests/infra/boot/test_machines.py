"""The rendered user data on booted machines: a head and a worker that form a cluster, run a job,
are evicted and stop themselves, and a stranger that the registry refuses. One story, in order;
Azure is a stub that knows who may do what; everything else is real."""

import io
import json
import tarfile
from dataclasses import replace
from math import ceil
from pathlib import Path
from types import SimpleNamespace

import pytest
from azure_stub import AzureStub, Vm
from boot_nodes import HEAD
from docker_engine import docker
from stand_in import SUBNET, Machine, Registry, build, cleaned_up, make_network, wait_for

from infra.boot.render import cloud_init
from infra.facts import facts

TOKEN = "5ec2e7" * 10 + "abcd"
# Runs a task on each of two nodes, then waits to be told to end.
JOB = """
import pathlib, ray, time
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy as On
ray.init(logging_level="ERROR")
while sum(n["Alive"] for n in ray.nodes()) < 2:
    time.sleep(1)
address = ray.remote(num_cpus=1)(ray.util.get_node_ip_address)
nodes = [n["NodeID"] for n in ray.nodes() if n["Alive"]]
options = [On(node, soft=False) for node in nodes]
print("RAN ON", sorted(ray.get([address.options(scheduling_strategy=o).remote() for o in options])))
while not pathlib.Path("/tmp/finish").exists():
    time.sleep(0.5)
"""
# As a person on the head would: over loopback, with the token, but not on a command line.
CALL = """
import json, os, sys, urllib.request
path, body, token = sys.argv[1], sys.argv[2].encode() or None, sys.argv[3]
request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", body)
if token:
    request.add_header("Authorization", "Bearer " + open(token).read().strip())
try:
    answer = urllib.request.urlopen(request, timeout=30)
except urllib.error.HTTPError as error:
    answer = error
print(json.dumps([answer.status, answer.read().decode()]))
""".replace("{PORT}", facts()["DASHBOARD_PORT"])


def ask(head, path, body="", token="/run/savanna/ray-token"):
    """Status and text of the head's answer on its loopback address."""
    status, text = json.loads(head.run("python3", "-c", CALL, path, body, token))
    return status, text


def nodes(head):
    """Address -> state of Ray's nodes."""
    status, text = ask(head, "/api/v0/nodes?detail=1")
    assert status == 200, text
    return {n["node_ip"]: n["state"] for n in json.loads(text)["data"]["result"]["result"]}


@pytest.fixture(scope="session")  # the last two tests come later, see tests/distribution.py
def site(image, tmp_path_factory):
    """The machines, booting, and the stub."""
    folder = tmp_path_factory.mktemp("site")
    folder.chmod(0o755)
    with cleaned_up(), AzureStub(make_network()) as azure:
        registry = Registry(azure, folder)
        reference = registry.push(image, "savanna-cpu")
        azure.vms = [
            Vm(f"{n}-vm", f"{SUBNET}.{i}", f"{n}-identity")
            for n, i in (("head", 10), ("worker", 11), ("stranger", 12))
        ]
        for vm, minutes in zip(azure.vms, (10, 10, 1), strict=True):
            vm.tags = {"savanna-limits": f"JOIN_MINUTES={minutes} IDLE_MINUTES=1"}
        azure.pullers = {"head-identity", "worker-identity"}  # AcrPull
        azure.secrets = {(vm.identity, "ray-token-test"): TOKEN for vm in azure.vms}
        memory = int(Path("/proc/meminfo").read_text().split()[1]) / 2**20  # GiB
        head = replace(
            HEAD,
            image=reference,
            registry=registry.name,
            gpus=0,
            shm_gib=ceil(memory * int(facts()["SHM_PERCENT"]) / 100),
            head_address=f"{SUBNET}.10",
            identity_client_id="head-identity",
            token_secret=f"{azure.url}/vault/secrets/ray-token-test",
            metadata_endpoint=azure.url,
            arm_endpoint=azure.url,
            registry_endpoint=azure.url,
            blob_endpoint=f"{azure.url}/blobs/results/test",
        )
        worker = replace(
            head,
            role="worker",
            node_type="cpu-spot",
            spot=True,
            identity_client_id="worker-identity",
        )
        stranger = replace(worker, identity_client_id="stranger-identity")
        with_docker, without_docker = build("machine"), build("bare")

        def boot(role, number, node, image):
            return Machine(role, image, number, cloud_init(node), registry.name, folder)

        yield SimpleNamespace(
            azure=azure,
            image=reference,
            head=boot("head", 10, head, with_docker),
            worker=boot("worker", 11, worker, without_docker),
            stranger=boot("stranger", 12, stranger, with_docker),
        )


def test_cloud_init_runs_to_completion(site):
    for machine in (site.head, site.worker, site.stranger):
        said = machine.run("cloud-init", "status", "--wait", "--long", check=False, timeout=300)
        assert "status: done" in said, said
        assert "Failed" not in machine.run("cat", "/var/log/cloud-init-output.log", check=False)
        state = machine.run("systemctl", "is-enabled", "savanna-node", "savanna-events")
        assert state.split() == ["enabled", "enabled"]
    assert "is-enabled" not in site.worker.run("ls", "/etc/systemd/system")
    assert "savanna-limits.service" not in site.worker.run("ls", "/etc/systemd/system")


def test_the_head_comes_up_and_wants_the_token(site):
    head = site.head
    wait_for("the head joins", lambda: "joined the cluster as head" in head.said(), head)
    assert ask(head, "/api/jobs/", token="")[0] == 401
    body = json.dumps({"entrypoint": f"python -c '{JOB}'", "submission_id": "story"})
    status, text = ask(head, "/api/jobs/", body)  # and from now on the head is not idle
    assert status == 200, text


def test_the_worker_joins(site):
    head, worker = site.head, site.worker
    wait_for(
        "the worker joins", lambda: "joined the cluster as worker" in worker.said(), head, worker
    )
    assert nodes(head) == {head.address: "ALIVE", worker.address: "ALIVE"}
    assert " install docker.io:" in worker.run("cat", "/var/log/dpkg.log")


def test_the_containers_are_ours_and_confined(site):
    for machine, market in ((site.head, "on-demand"), (site.worker, "spot")):
        found = json.loads(machine.run("docker", "inspect", "savanna"))[0]
        assert found["Config"]["Image"] == site.image
        assert found["HostConfig"]["NetworkMode"] == "host"
        assert found["HostConfig"]["CapDrop"] == ["ALL"]
        assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
        assert not found["HostConfig"]["Privileged"]
        vm = site.azure.vm(machine.address)
        raylet = machine.inside("bash", "-c", "tr '\\0' '\\n' < /proc/$(pgrep raylet)/environ")
        for line in (f"RAY_CLOUD_INSTANCE_ID={vm.vm_id}", f"RAY_NODE_MARKET_TYPE={market}"):
            assert line in raylet.splitlines()
        stat = ("stat", "-c", "%a %u %T", "/run/savanna/ray-token")
        assert machine.run(*stat).split()[:2] == ["400", facts()["CONTAINER_UID"]]
        assert "starting as" in machine.run("cat", "/var/log/savanna/ray/entrypoint.log")


def test_a_job_runs_on_both(site):
    ran = f"RAN ON ['{site.head.address}', '{site.worker.address}']"
    path = "/api/jobs/story/logs"
    wait_for("the job runs", lambda: ran in json.loads(ask(site.head, path)[1])["logs"], site.head)


def test_no_secret_lies_about(site):
    """Neither the cluster's token nor any that the stub issued: journal, logs, command lines,
    disk."""
    given = [TOKEN, *site.azure.issued]
    assert len(given) > 4
    for machine in (site.head, site.worker):
        places = {
            "journal": machine.journal(),
            "commands": machine.run("bash", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"),
            "disk": machine.run(
                "bash",
                "-c",
                "cat /etc/savanna/* /var/lib/cloud/instance/*.txt "
                "/root/.docker/* /run/savanna/docker/* 2>/dev/null",
                check=False,
            ),
            "container": machine.run("docker", "inspect", "savanna"),
            "logs": machine.run("bash", "-c", "find /var/log -type f -size -2M | xargs cat"),
        }
        for place, text in places.items():
            assert len(text) > 50, place
            assert [s for s in given if s in text] == [], f"a secret in the {place}"


def test_a_stranger_says_why_it_cannot_join_and_stops(site):
    azure, who = site.azure, "stranger-identity"
    wait_for("the stranger stops", lambda: azure.made("deallocate", who), site.stranger)
    assert [c.detail for c in azure.made("deallocate", who)] == ["stranger-vm"]
    reports = [c for c in azure.made("blob", who) if c.detail.endswith("/report.txt")]
    report = reports[0].body.decode()
    assert "last step: pull; container: missing" in report
    assert "access to the resource is denied" in report or "pull access denied" in report, report
    assert report.splitlines()[0] in site.stranger.said()
    site.stranger.power_off()


def test_an_eviction_drains_the_worker_then_acknowledges(site):
    head, worker, azure = site.head, site.worker, site.azure
    vm = azure.vm(worker.address)
    event = azure.announce(vm, "Preempt")
    call = wait_for("the eviction is acknowledged", lambda: azure.made("acknowledge"), worker)
    assert (call[0].who, call[0].detail) == ("worker-identity", event)
    state = json.loads(worker.run("docker", "inspect", "savanna"))[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0), worker.said()
    log = worker.run("cat", "/var/log/savanna/ray/entrypoint.log")
    assert "worker was asked to stop: draining" in log and "worker stopped" in log
    assert nodes(head)[head.address] == "ALIVE"
    assert nodes(head)[worker.address] == "DEAD"
    assert not azure.made("deallocate", "head-identity"), "its job was still running"
    head.inside("touch", "/tmp/finish")  # now it is idle
    # The eviction is cancelled after all, so it joins again. From here on it waits only a minute.
    vm.tags = {"savanna-limits": "JOIN_MINUTES=1"}
    worker.run("systemctl", "restart", "savanna-node")
    vm.events.clear()
    wait_for(
        "the worker is back", lambda: worker.said().count("joined the cluster as") == 2, worker
    )


def test_an_idle_head_keeps_its_logs_and_stops_itself(site):
    head, azure = site.head, site.azure
    wait_for("the head stops", lambda: azure.made("deallocate", "head-identity"), head)
    assert [c.detail for c in azure.made("deallocate", "head-identity")] == ["head-vm"]
    mine = [c.what for c in azure.calls if c.who == "head-identity" and c.what != "events"]
    assert mine.index("blob") < mine.index("deallocate")
    (blob,) = [c for c in azure.made("blob", "head-identity") if "logs.tar.gz" in c.detail]
    assert blob.detail.startswith("results/test/node-logs/head-vm/")
    with tarfile.open(fileobj=io.BytesIO(blob.body)) as tar:
        names = tar.getnames()
    assert "ray/entrypoint.log" in names
    assert any(name.endswith("/job-driver-story.log") for name in names), names
    said = head.said("savanna-limits")
    assert "this machine stops in" in said and "no Ray job for 1 minutes" in said
    state = json.loads(head.run("docker", "inspect", "savanna"))[0]["State"]
    assert (state["Status"], state["ExitCode"]) == ("exited", 0)
    head.power_off()


def test_a_worker_without_a_head_stops_itself(site):
    worker, azure = site.worker, site.azure
    wait_for("the worker stops", lambda: azure.made("deallocate", "worker-identity"), worker)
    assert [c.detail for c in azure.made("deallocate", "worker-identity")] == ["worker-vm"]
    said = worker.said()
    assert "last step: join; container:" in said
    assert f"head at {SUBNET}.10" in said or "no head answered" in said
    worker.power_off()
    assert docker("ps", "-q", "--filter", "name=savanna-boot-test-worker").stdout == ""
