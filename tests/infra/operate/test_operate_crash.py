"""After a `pulumi` that was killed: its lock, and what it was making."""

import getpass
import gzip
import json
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from azure_cli import GROUP, RUNNING, TAGS, TRANSCRIPTS, resource
from command import run, started
from waiting import wait_until

from infra.operate import lock, state

DIGEST = "savanna-cpu@sha256:" + "ab" * 32
GPU_DIGEST = "savanna-gpu@sha256:" + "ab" * 32
EXPORT = json.loads(gzip.decompress((TRANSCRIPTS / "export-pending.json.gz").read_bytes()))
HEAD_ID = f"{GROUP}/Microsoft.Compute/virtualMachines/savanna-dev-head"


@pytest.fixture
def by_digest(settings, cloud):
    settings.update(dev=False, cpuImage=DIGEST, gpuImage=GPU_DIGEST)
    cloud.save(registry_images=[DIGEST, GPU_DIGEST])


def gone_process() -> int:
    """The number of a process that has ended."""
    return int(run([sys.executable, "-c", "import os; print(os.getpid())"]).stdout)


def held(host: str = "", pid: int = 0, hours: float = 3) -> str:
    """As in Pulumi's words about a lock."""
    since = (datetime.now(UTC) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%SZ")
    who = f"{getpass.getuser()}@{host or socket.gethostname()}"
    return f"{who} (pid {pid or gone_process()}) at {since}"


def saved(cloud) -> dict:
    return json.loads((cloud.folder / "state.json").read_text())


@pytest.mark.parametrize("verb", ["up", "down"])
def test_the_lock_of_a_process_that_is_gone_is_taken_over(operate, cloud, by_digest, verb):
    cloud.running(locked_by=held())
    code, _, err = operate(verb, "--yes")
    assert code == 0, err
    assert f"locked by {getpass.getuser()}@{socket.gethostname()} (process" in err
    assert "3 h ago. That process is gone: taking the lock over" in err
    assert cloud.calls("pulumi", "cancel")


@pytest.mark.parametrize("verb", ["up", "down"])
def test_the_lock_of_a_process_that_runs_is_left_alone(
    operate, cloud, by_digest, verb, monkeypatch
):
    monkeypatch.setattr(lock, "runs", lambda pid: True)
    cloud.running(locked_by=held())
    code, _, err = operate(verb, "--yes")
    assert code == 1 and "that process is running on this machine: wait for it" in err
    assert not cloud.calls("pulumi", "cancel") and not cloud.calls("ssh")


@pytest.mark.parametrize(("answer", "goes_on"), [("n", False), ("y", True)])
def test_the_lock_of_another_machine_is_asked_about(
    operate, cloud, by_digest, monkeypatch, answer, goes_on
):
    cloud.running(locked_by=held("laptop", 25199))
    answers = ["y", answer]
    terminal = {"isatty": lambda _: True, "readline": lambda _: answers.pop(0) + "\n"}
    monkeypatch.setattr("sys.stdin", type("Terminal", (), terminal)())
    code, _, err = operate("down")
    assert "@laptop (process 25199) since" in err and "may its lock be removed?" in err
    assert code == (0 if goes_on else 1)
    # Nothing was stopped before it was sure that destruction can begin.
    assert bool(cloud.calls("ssh")) == goes_on == bool(cloud.calls("pulumi", "cancel"))


@pytest.mark.parametrize(("hours", "taken"), [(0.5, False), (3, True)])
def test_without_anybody_to_ask_a_young_lock_of_another_machine_is_respected(
    operate, cloud, hours, taken
):
    cloud.running(locked_by=held("laptop", 25199, hours))
    code, _, err = operate("down", "--yes")
    assert (code == 0) == taken == bool(cloud.calls("pulumi", "cancel"))
    if not taken:
        assert "30 min ago" in err and "pulumi cancel --stack dev" in err
        assert not cloud.calls("ssh")


def test_whether_a_process_is_pulumi_is_seen(tmp_path):
    assert not lock.runs(os.getpid()) and not lock.runs(gone_process())
    program = tmp_path / "pulumi"
    program.symlink_to("/bin/sleep")
    with started([program, "30"], stdout=subprocess.DEVNULL) as process:
        wait_until(lambda: lock.runs(process.pid), process=process)


def test_pulumis_service_names_no_holder():
    said = "error: [409] Conflict: Another update is currently in progress."
    assert lock.is_locked(said) and lock.holders(said) == []


def interrupted(cloud, **changes) -> None:
    """Pulumi was killed while the head was made; Azure has made it. As in the transcripts."""
    record = json.loads(EXPORT["stdout"])
    cloud.running(
        account={**cloud.state["account"], "id": "00000000-0000-0000-0000-00000000abcd"},
        records={"cluster": record},
        resources=[resource("Microsoft.Compute/virtualMachines", "savanna-dev-head", group=REAL)],
        **changes,
    )
    cloud.state["outputs"]["cluster"] = {}
    cloud.save()


REAL = GROUP.replace("/s/", "/00000000-0000-0000-0000-00000000abcd/")


def test_what_pulumi_was_making_is_read_from_its_record():
    record = state.Record(json.loads(EXPORT["stdout"]))
    [head] = record.pending
    assert head.type == "compute:VirtualMachine" and head.name == "head-machine"
    assert head.inputs["vmName"] == "savanna-dev-head"
    assert "network:Subnet::network-head" in record.urns
    rest = record.without_pending()
    assert not state.Record(rest).pending
    assert rest["deployment"]["resources"] == record.content["deployment"]["resources"]


@pytest.mark.parametrize("verb", ["up", "down"])
def test_a_head_that_pulumi_does_not_know_is_removed_with_a_word(operate, cloud, by_digest, verb):
    interrupted(cloud, when_up={})
    code, _, err = operate(verb, "--yes", *(["--minutes", "0"] if verb == "up" else []))
    removed = cloud.calls("az", "resource", "delete")
    assert [call[5] for call in removed] == [
        f"{REAL}/Microsoft.Compute/virtualMachines/savanna-dev-head"
    ]
    assert "savanna-dev-head (virtualMachines) was being made when an earlier command was" in err
    made = cloud.everything().splitlines()
    [gone] = [i for i, call in enumerate(made) if '"resource", "delete"' in call]
    what = '"cluster", "up"' if verb == "up" else '"destroy"'
    [deploy] = [i for i, call in enumerate(made) if what in call]
    [forgotten] = [i for i, call in enumerate(made) if '"stack", "import"' in call]
    assert gone < forgotten < deploy
    if verb == "down":
        assert code == 0, err
    assert not saved(cloud)["records"]["cluster"]["deployment"]["pending_operations"]


def test_what_was_not_made_after_all_is_only_forgotten(operate, cloud, by_digest):
    interrupted(cloud, when_up={})
    cloud.save(resources=[])
    operate("up", "--yes", "--minutes", "0")
    assert not cloud.calls("az", "resource", "delete")
    assert cloud.calls("pulumi", "stack", "import") and cloud.calls("pulumi", "up")


@pytest.mark.parametrize("tags", [{"team": "finance"}, {**TAGS, "savanna-stack": "prod"}, None])
def test_what_has_its_name_but_is_somebody_elses_stays(operate, cloud, by_digest, tags):
    interrupted(cloud)
    theirs = resource("Microsoft.Compute/virtualMachines", "savanna-dev-head", tags, REAL)
    cloud.save(resources=[theirs])
    code, _, err = operate("up", "--yes")
    assert code == 1 and "is not this cluster's: it lacks the tags" in err
    assert not cloud.calls("az", "resource", "delete")
    assert [call for call in cloud.calls("pulumi", "up") if call[1] == "cluster"] == []


def test_up_does_not_start_over_what_pulumi_has_lost(operate, cloud, by_digest):
    cloud.running(deployed=["foundation"])
    code, _, err = operate("up", "--yes")
    assert code == 1 and "of which Pulumi has no record" in err and "make down STACK=dev" in err
    assert not cloud.calls("pulumi", "up")


def test_status_of_an_interrupted_up_is_read_from_azure(operate, cloud):
    cloud.running()
    cloud.state["outputs"]["cluster"] = {}
    cloud.save()
    code, out, _ = operate("status")
    assert code == 0 and "the head is not running" not in out
    assert "expires 2099-01-01T00:00Z" in out


def test_a_half_built_cluster_takes_its_leave_too(operate, cloud):
    cloud.running()
    cloud.state["outputs"]["cluster"] = {}
    cloud.save()
    assert operate("down", "--yes")[0] == 0
    assert any("agent stop" in call[-1] for call in cloud.calls("ssh"))
    [bastion] = cloud.calls("az", "network", "bastion", "tunnel")
    assert "savanna-dev-bastion" in bastion and RUNNING["machines"][0]["id"] in bastion
