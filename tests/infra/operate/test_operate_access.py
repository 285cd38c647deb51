"""`make tunnel`, `ssh`, `status`, `workers`."""

import json
import os
import time
import urllib.request
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure_cli import GOOD, HEAD, TOKEN, machine

from infra.operate import stack as stacks
from infra.operate import tunnel
from infra.operate.tools import OperateError, UsageError
from infra.plan.plan import EXAMPLE_CLUSTER, EXAMPLE_FOUNDATION, Given, make
from infra.plan.prices import load
from savanna.jobs.known_cluster import find_cluster


@pytest.fixture
def stack(cloud, settings):
    cloud.running()
    return stacks.read_stack("dev", datetime.now(UTC))


def test_what_is_asked_of_the_programs_is_what_they_put_out():
    given = Given("dev", EXAMPLE_CLUSTER, EXAMPLE_FOUNDATION)
    plan = make(given, datetime.now(UTC), load())
    for run, assumed in ((plan.cluster, "cluster"), (plan.foundation, "foundation")):
        assert GOOD["outputs"][assumed].keys() <= run.outputs.keys()
    outputs, assumed = plan.cluster.outputs, GOOD["outputs"]["cluster"]
    for key in ("head_vm", "resource_group", "scale_sets", "bastion"):
        assert outputs[key] == assumed[key]
    label = stacks.Stack(given, plan.cluster_settings, plan.foundation_settings).label
    assert outputs["resource_group"] == label


def test_through_the_tunnel_savanna_submit_finds_the_cluster(stack, cloud):
    port = tunnel.free_port()
    with tunnel.open_tunnel(stack, port):
        found = find_cluster()
        assert found.address == f"http://127.0.0.1:{port}" and found.token() == TOKEN
        request = urllib.request.Request(
            f"{found.address}/api/v0/nodes", headers={"Authorization": f"Bearer {found.token()}"}
        )
        assert urllib.request.urlopen(request, timeout=10).status == 200
        file = Path(found.token_file)
        assert file.stat().st_mode & 0o777 == 0o600
    assert not Path(".savanna/cluster.json").exists() and not file.exists()
    assert not tunnel._answers(port)
    [bastion] = cloud.calls("az", "network", "bastion", "tunnel")
    assert bastion[bastion.index("--target-resource-id") + 1].endswith("savanna-dev-head")
    [ssh] = cloud.calls("ssh")
    assert f"{port}:127.0.0.1:8265" in ssh and "savanna@127.0.0.1" in ssh
    assert TOKEN not in cloud.everything()


def test_another_head_at_the_same_address_is_not_refused(stack, cloud):
    def names() -> list[str]:
        with tunnel.open_tunnel(stack, tunnel.free_port()):
            pass
        return [word for word in cloud.calls("ssh")[-1] if "HostKeyAlias" in word]

    first = names()
    cloud.state["outputs"]["cluster"]["head_unique_id"] = "another"
    cloud.save()
    stack.forget_outputs()
    assert len(first) == 1 and names() != first
    # The user's own list of hosts stays as it is.
    known = f"UserKnownHostsFile={Path('.savanna').resolve()}/known_hosts"
    assert all(known in call for call in cloud.calls("ssh"))


def test_with_an_admin_range_ssh_goes_to_the_head_itself(stack, cloud):
    cloud.state["outputs"]["cluster"]["bastion"] = ""
    cloud.save()
    with tunnel.open_tunnel(stack, tunnel.free_port()):
        pass
    assert not cloud.calls("az", "network") and "savanna@10.0.0.4" in cloud.calls("ssh")[0]


def test_the_cluster_that_was_there_before_is_there_again(stack):
    Path(".savanna").mkdir()
    local = json.dumps({"name": "savanna", "address": "http://127.0.0.1:1", "token_file": "x"})
    for name in ("savanna", "cluster"):
        Path(f".savanna/{name}.json").write_text(local)
    with tunnel.open_tunnel(stack, tunnel.free_port()):
        assert json.loads(Path(".savanna/cluster.json").read_text())["name"] == "savanna-dev"
    assert json.loads(Path(".savanna/cluster.json").read_text())["name"] == "savanna"


def test_a_port_in_use_is_said_before_anything_is_fetched(stack, cloud):
    port = tunnel.free_port()
    with tunnel.open_tunnel(stack, port):
        before = len(cloud.calls("az", "keyvault"))
        with pytest.raises(UsageError, match=f"port {port} of this machine is in use"):
            tunnel.open_tunnel(stack, port).__enter__()
        assert len(cloud.calls("az", "keyvault")) == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"vault_forbidden": True}, "az role assignment create --role 'Key Vault Secrets User'"),
        ({"bastion_fails": True}, "SKU must be Standard"),
        ({"ssh_refuses": True}, "Connection refused"),
    ],
)
def test_a_tunnel_that_does_not_open_says_why(stack, cloud, changes, says):
    cloud.save(**changes)
    with pytest.raises(OperateError, match=says), tunnel.open_tunnel(stack, tunnel.free_port()):
        pass
    assert not Path(".savanna/cluster.json").exists()


@pytest.mark.parametrize("back", [True, False])
def test_a_tunnel_that_drops_is_opened_again_on_the_same_port(stack, monkeypatch, capfd, back):
    opened = []

    @contextmanager
    def open_tunnel(stack, port):
        opened.append(port)
        if len(opened) > 1 and not back:
            raise OperateError("Bastion does not answer")
        if len(opened) == 4:
            raise KeyboardInterrupt
        yield

    monkeypatch.setattr(tunnel, "open_tunnel", open_tunnel)
    monkeypatch.setattr(tunnel, "_answers", lambda port: False)  # it drops at once
    monkeypatch.setattr(tunnel, "STEADY", 1e9 if not back else -1)
    with pytest.raises(KeyboardInterrupt if back else OperateError) as ended:
        tunnel.hold(stack, 18266)
    said = capfd.readouterr().err
    assert set(opened) == {18266} and said.count("Opening it again") == len(opened) - 1
    if back:
        assert len(opened) == 4 and "is at http://127.0.0.1:18266 again" in said
    else:
        assert "Bastion does not answer" in said and "2 times in a row" in str(ended.value)


def test_without_a_cluster_it_says_how_to_make_one(operate, cloud):
    for arguments in (["tunnel"], ["ssh"], ["workers", "--pool", "cpu", "-n", "1"]):
        code, _, err = operate(*arguments)
        assert code == 1 and "there is no cluster savanna-dev: make up STACK=dev" in err


def test_ssh_runs_a_command_and_gives_its_exit_code(operate, cloud):
    cloud.running(ssh_code=7)
    code, out, _ = operate("ssh", "uptime")
    assert code == 7 and "hello from the head" in out
    assert cloud.calls("ssh")[0][-1] == "uptime"


def test_status_shows_machines_and_money(operate, cloud):
    hour_ago = datetime.fromtimestamp(time.time() - 3600, UTC).isoformat()
    stopped = machine("savanna-dev-cpu_2", "Standard_D16as_v6", "", powerState="VM deallocated")
    cloud.running(machines=[{**HEAD, "timeCreated": hour_ago}, stopped])
    code, out, _ = operate("status", "--json")
    found = json.loads(out)
    assert code == 0 and [node["node"] for node in found["nodes"]] == [
        "savanna-dev-head",
        "savanna-dev-cpu_2",
    ]
    head, worker = found["nodes"]
    assert head["so_far"] == pytest.approx(head["hourly"], rel=0.01)
    assert worker["so_far"] is None
    assert found["machines_hourly"] == head["hourly"] and not found["expired"]
    code, out, _ = operate("status")
    assert "VM deallocated" in out and "expires 2099-01-01T00:00Z" in out


def test_a_machine_that_switched_itself_off_is_billed(operate, cloud):
    cloud.running(machines=[{**HEAD, "powerState": "VM stopped"}])
    found = json.loads(operate("status", "--json")[1])
    assert found["machines_hourly"] == found["nodes"][0]["hourly"] > 0
    assert (
        "az vm deallocate --name savanna-dev-head --resource-group savanna-dev"
        in (operate("status")[1])
    )


def test_in_a_group_of_others_status_shows_our_machines_alone(operate, cloud, settings):
    settings["resourceGroup"] = "shared"
    theirs = machine("payroll", "Standard_D16as_v6", "10.0.0.9", tags={})
    # Azure does not have to copy a scale set's tags to its machines.
    ours = machine("savanna-dev-cpu_7", "Standard_D16as_v6", "10.0.0.9", tags=None)
    tags = {"savanna-project": "savanna", "savanna-stack": "dev-cpu", "savanna-expires": "x"}
    other_stack = machine("savanna-dev-cpu-head", "Standard_D16as_v6", "10.0.0.8", tags=tags)
    cloud.running(groups=["shared"], machines=[HEAD, theirs, other_stack, ours])
    found = json.loads(operate("status", "--json")[1])
    assert [node["node"] for node in found["nodes"]] == ["savanna-dev-head", "savanna-dev-cpu_7"]


def test_a_head_that_does_not_run_is_exit_code_1(operate, cloud):
    cloud.running(machines=[{**HEAD, "powerState": "VM deallocated"}])
    assert operate("status")[0] == 1
    cloud.save(machines=[], deployed=[], groups=[])
    assert operate("status")[0] == 1


def test_workers_scales_the_pool_and_refuses_what_cannot_be(operate, cloud):
    cloud.running()
    assert operate("workers", "--pool", "cpu", "-n", "3")[0] == 0
    [call] = cloud.calls("az", "vmss", "scale")
    assert call[call.index("--name") + 1] == "savanna-dev-cpu"
    assert call[call.index("--new-capacity") + 1] == "3"
    for pool, count, says in (
        ("cpu", "5", "may have 0 to 4"),
        ("gpu", "1", "the pools are cpu"),
        ("cpu", "-1", "may have 0 to 4"),
        ("cpu", "", "N=: give the number of machines, 0 to 4: make workers POOL=cpu N=1"),
        ("cpu", "many", "N=many: give the number"),
    ):
        code, _, err = operate("workers", "--pool", pool, "-n", count)
        assert code == 2 and says in err
    assert len(cloud.calls("az", "vmss", "scale")) == 1


def test_no_tunnel_outlives_its_command(stack, cloud):
    with tunnel.open_tunnel(stack, tunnel.free_port()):
        pass
    mine = str(cloud.folder)
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert mine not in process.read_text(), f"process {process.parent.name} goes on"
        except OSError:
            continue
    assert os.environ["FAKE"]
