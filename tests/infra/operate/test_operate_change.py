"""The second day: what `up` does to a cluster that lives when settings have changed."""

import copy
import json
from datetime import UTC, datetime

import pytest
from azure_cli import HEAD, LIMITS, RUNNING, WORKER, machine, ray_node, scale_set

from infra.config import plain
from infra.plan.plan import EXAMPLE_CLUSTER, EXAMPLE_FOUNDATION, Given, settings_of

DIGESTS = {
    "dev": False,
    "cpuImage": "savanna-cpu@sha256:" + "ab" * 32,
    "gpuImage": "savanna-gpu@sha256:" + "ab" * 32,
    "expires": "2099-01-01T00:00Z",
}
URN = "urn:pulumi:dev::savanna::savanna:infra:"
SET = "Pool$azure-native:compute:VirtualMachineScaleSet"
HEAD_URN = f"{URN}Head$azure-native:compute:VirtualMachine::head-machine"


def built_with(**changes: object) -> dict:
    """The program's output `settings`."""
    given = {**EXAMPLE_CLUSTER, **DIGESTS, **changes}
    both = Given("dev", given, EXAMPLE_FOUNDATION)
    return plain.cluster(given, settings_of(both, datetime.now(UTC))[0])


@pytest.fixture
def living(cloud, settings):
    """A cluster that was built with the example's settings."""
    settings.update(DIGESTS)
    cloud.state["outputs"]["cluster"]["settings"] = built_with()
    cloud.state["outputs"]["cluster"]["subscription"] = "s"
    images = [DIGESTS["cpuImage"], DIGESTS["gpuImage"]]
    cloud.running(registry_images=images, when_up={})
    return cloud


def order(cloud, *parts: str) -> list[int]:
    """Where in the calls the first one with each part is."""
    lines = cloud.everything().splitlines()
    return [next(i for i, line in enumerate(lines) if part in line) for part in parts]


UP = '["pulumi", "cluster", "up"'


def test_a_group_with_machines_of_others_is_refused(operate, cloud, settings):
    settings.update(DIGESTS, resourceGroup="theirs")
    stranger = machine("their-server", "Standard_D2as_v6", "10.9.0.4", tags=None)
    cloud.save(groups=["theirs"], machines=[stranger])
    code, _, err = operate("up", "--yes")
    assert code == 2 and "could stop: their-server. Use a group without machines" in err
    assert not cloud.calls("pulumi", "up")


# What is not possible


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": "other"}, "name savanna -> other: not possible"),
        ({"location": "eastus"}, "location westeurope -> eastus: not possible"),
        ({"addressSpace": "10.0.0.0/15"}, "addressSpace 10.0.0.0/16 -> 10.0.0.0/15: not possible"),
        ({"nodesRange": "10.0.4.0/24"}, "nodesRange 10.0.0.0/24 -> 10.0.4.0/24: not possible"),
        ({"headDiskGib": 64}, "headDiskGib 128 -> 64: not possible: Azure shrinks no disk"),
        ({"resourceGroup": "theirs"}, "resourceGroup (empty) -> theirs: not possible"),
    ],
)
def test_what_azure_cannot_change_is_refused_before_anything(
    operate, living, settings, change, says
):
    settings.update(change)
    code, _, err = operate("up", "--yes")
    assert code == 2 and says in err, err
    assert "nothing was touched: run `make down`, change it, run `make up`" in err
    assert not living.calls("pulumi", "up") and not living.calls("pulumi", "config", "set")


def test_what_pulumi_foresees_and_azure_refuses_stops_it_too(operate, living):
    # An output of settings may be missing; the preview is a second net.
    subnet = {
        "op": "update",
        "urn": f"{URN}Network$azure-native:network:Subnet::network-head",
        "detailedDiff": {"addressPrefix": {"kind": "update", "inputDiff": True}},
    }
    group = {
        "op": "replace",
        "urn": f"{URN}Group$azure-native:resources:ResourceGroup::group-own",
        "detailedDiff": None,
    }
    living.save(preview_steps=[subnet, group])
    code, _, err = operate("up", "--yes")
    assert code == 1
    assert "network-head (network:Subnet): addressPrefix would change" in err
    assert "group-own (resources:ResourceGroup) would be replaced" in err
    assert [c[1] for c in living.calls("pulumi", "up")] == ["foundation"]


def test_what_changed_settings_do_is_said_by_up_and_preview(operate, living, settings):
    settings.update(idleMinutes=90, headShmGib=30)
    for verb in (["up", "--yes"], ["preview"]):
        code, _, err = operate(*verb)
        assert code == 0, err
        assert "idleMinutes 30 -> 90: in place: the running head reads it" in err
        assert "headShmGib 0 -> 30: replaces the head" in err


# Pools


def test_a_pool_is_brought_to_its_min(operate, living, settings):
    settings["pools"] = "[{name: cpu, size: Standard_D16as_v6, spot: true, min: 3, max: 4}]"
    code, _, err = operate("up", "--yes", "--minutes", "0.2")
    assert code == 0, err
    assert "pool cpu: 1 -> 3 machines" in err and "all 4 nodes have joined" in err
    [call] = living.calls("az", "vmss", "scale")
    assert call[call.index("--new-capacity") + 1] == "3"


def test_a_pool_that_was_scaled_up_keeps_its_machines(operate, living):
    more = machine("savanna-dev-cpu_2", "Standard_D16as_v6", "10.0.0.133", tags=WORKER["tags"])
    living.save(
        machines=[HEAD, WORKER, more],
        ray_nodes=[*RUNNING["ray_nodes"], ray_node("10.0.0.133")],
        scale_sets=[scale_set("cpu", 2)],
    )
    assert operate("up", "--yes")[0] == 0
    assert not living.calls("az", "vmss", "scale")


def renamed() -> list[dict]:
    """As Pulumi previews a pool that got another name."""
    return [
        {"op": "create", "urn": f"{URN}{SET}::burst-set", "detailedDiff": None},
        {"op": "delete", "urn": f"{URN}{SET}::cpu-set", "detailedDiff": None},
        {"op": "delete", "urn": f"{URN}Pool::cpu", "detailedDiff": None},
    ]


def test_a_pool_that_is_renamed_is_asked_about_and_drains_first(
    operate, living, settings, monkeypatch
):
    settings["pools"] = "[{name: burst, size: Standard_D16as_v6, spot: true, min: 1, max: 4}]"
    new = {
        "scale_sets": [scale_set("burst", 1)],
        "machines": [HEAD, machine("savanna-dev-burst_1", "Standard_D16as_v6", "10.0.0.140")],
        "ray_nodes": [ray_node("10.0.0.4", head=True), ray_node("10.0.0.140")],
    }
    living.save(preview_steps=renamed(), when_up=new)
    answers = ["y", "n", "y", "y"]
    terminal = {"isatty": lambda _: True, "readline": lambda _: answers.pop(0) + "\n"}
    monkeypatch.setattr("sys.stdin", type("Terminal", (), terminal)())
    code, _, err = operate("up")
    assert code == 1 and "this removes cpu-set and its 1 machines, which drain first" in err
    assert "cluster" not in [c[1] for c in living.calls("pulumi", "up")]
    assert not living.calls("az", "vm", "run-command")
    code, _, err = operate("up")
    assert code == 0, err
    drain, delete, up = order(living, '"run-command"', '"delete-instances"', UP)
    assert drain < delete < up
    assert living.read()["removed_running"] == []


def test_a_replaced_pool_gets_its_machines_back(operate, living, settings):
    # From spot to on demand, which Azure changes on no set.
    settings["pools"] = "[{name: cpu, size: Standard_D16as_v6, spot: false, min: 1, max: 4}]"
    step = {"op": "replace", "urn": f"{URN}{SET}::cpu-set", "detailedDiff": None}
    more = machine("savanna-dev-cpu_2", "Standard_D16as_v6", "10.0.0.133", tags=WORKER["tags"])
    living.save(
        preview_steps=[step],
        machines=[HEAD, WORKER, more],
        ray_nodes=[*RUNNING["ray_nodes"], ray_node("10.0.0.133")],
        scale_sets=[scale_set("cpu", 2)],
        when_up={
            "machines": [HEAD],
            "ray_nodes": [ray_node("10.0.0.4", head=True)],
            "scale_sets": [scale_set("cpu", 0)],
        },
        usage=[{**one, "limit": "200"} for one in living.state["usage"]],
    )
    code, _, err = operate("up", "--yes", "--minutes", "0.2")
    assert code == 0, err
    assert "replaces cpu-set and its 2 machines" not in err  # it was not asked, but done
    assert living.read()["scale_sets"][0]["sku"]["capacity"] == 2
    assert "all 3 nodes have joined" in err and living.read()["removed_running"] == []


# Boot data


def outdated() -> list[dict]:
    old = [
        machine(
            f"savanna-dev-cpu_{n}",
            "Standard_D16as_v6",
            f"10.0.0.13{n}",
            tags={**WORKER["tags"], "savanna-boot": "older"},
        )
        for n in (1, 2, 3)
    ]
    return [copy.deepcopy(HEAD), *old]


def behind(cloud) -> None:
    nodes = [ray_node("10.0.0.4", head=True), *(ray_node(f"10.0.0.13{n}") for n in (1, 2, 3))]
    cloud.save(machines=outdated(), ray_nodes=nodes, scale_sets=[scale_set("cpu", 3)])


def test_status_names_machines_that_started_with_something_else(operate, living):
    _, out, _ = operate("status")
    assert "older settings" not in out
    behind(living)
    _, out, _ = operate("status")
    names = ", ".join(f"savanna-dev-cpu_{n}" for n in (1, 2, 3))
    assert f"started with older settings, make up replaces them: {names}" in out
    assert json.loads(operate("status", "--json")[1])["behind"] == names.split(", ")


def test_up_rolls_workers_that_are_behind(operate, living):
    behind(living)
    code, _, err = operate("up", "--yes", "--minutes", "0.2")
    assert code == 0, err
    state = living.read()
    tags = {one["tags"]["savanna-boot"] for one in state["machines"] if "cpu" in one["name"]}
    assert tags == {"b1"} and len(state["machines"]) == 4
    assert state["removed_running"] == []
    # Not all at once: jobs go on with the others.
    assert len(living.calls("az", "vmss", "delete-instances")) == 2
    assert "agent stop" in str(living.calls("az", "vm", "run-command")[0])


def test_whether_workers_are_rolled_is_asked_before_anything_changes(operate, living, monkeypatch):
    behind(living)
    answers = ["y", "n"]
    terminal = {"isatty": lambda _: True, "readline": lambda _: answers.pop(0) + "\n"}
    monkeypatch.setattr("sys.stdin", type("Terminal", (), terminal)())
    code, _, err = operate("up")
    assert code == 1 and "savanna-dev-cpu_1, savanna-dev-cpu_2, savanna-dev-cpu_3" in err
    assert [c[1] for c in living.calls("pulumi", "up")] == ["foundation"]


def test_machines_learn_what_changed_in_place(operate, living):
    other = LIMITS.replace("IDLE_MINUTES=30", "IDLE_MINUTES=90")
    living.save(scale_sets=[scale_set("cpu", 1, **{"savanna-limits": other})])
    assert operate("up", "--yes")[0] == 0
    assert living.read()["machines"][1]["tags"]["savanna-limits"] == other
    # Its fingerprint is what it started with, and stays.
    assert living.read()["machines"][1]["tags"]["savanna-boot"] == "b1"


# The head


def resized(path: str, kind: str = "update") -> dict:
    diff = {path: {"kind": kind, "inputDiff": True}}
    return {"op": "update", "urn": HEAD_URN, "detailedDiff": diff}


@pytest.mark.parametrize(
    ("path", "command"),
    [
        ("hardwareProfile.vmSize", '"vm", "resize"'),
        ("storageProfile.osDisk.diskSizeGB", '"disk", "update"'),
    ],
)
def test_a_head_that_is_resized_takes_its_leave_though_nothing_is_replaced(
    operate, living, path, command
):
    living.save(preview_steps=[resized(path)])
    code, _, err = operate("up", "--yes")
    assert code == 0 and "a checkpoint" in err
    leave, change, start, up = order(living, "agent stop", command, '"vm", "start"', UP)
    assert leave < change < start < up


def test_a_stopped_head_is_started_before_pulumi_looks_at_its_disk(operate, living):
    stopped = [{**one, "powerState": "VM deallocated"} for one in RUNNING["machines"]]
    omitted = resized("storageProfile.osDisk.diskSizeGB", kind="add")
    living.save(machines=stopped, preview_steps=[omitted])
    code, _, err = operate("up", "--yes")
    assert code == 0, err
    start, up = order(living, '"vm", "start"', UP)
    assert start < up
    assert not living.calls("az", "disk", "update") and not living.calls("az", "vm", "deallocate")


def test_a_stopped_head_that_is_replaced_is_not_started_first(operate, living):
    stopped = [{**one, "powerState": "VM deallocated"} for one in RUNNING["machines"]]
    replace = {"op": "replace", "urn": HEAD_URN, "detailedDiff": None}
    living.save(machines=stopped, preview_steps=[replace])
    assert operate("up", "--yes")[0] == 0
    start, up = order(living, '"vm", "start"', UP)
    assert up < start


# More time


def test_extend_gives_a_running_head_more_hours_and_nothing_else(operate, living):
    living.state["resources"].append({**HEAD, "type": "Microsoft.Compute/virtualMachines"})
    living.save()
    code, _, err = operate("extend", "--hours", "4")
    assert code == 0, err
    head = living.read()["machines"][0]["tags"]
    assert "MAX_HOURS=28" in head["savanna-limits"]
    assert head["savanna-expires"] == "2099-01-01T04:00Z"
    sets = {c[4]: c[5] for c in living.calls("pulumi", "config", "set") if "azure" not in c[4]}
    assert sets == {"maxHours": "28", "expires": "2099-01-01T04:00Z"}
    assert not living.calls("pulumi", "up") and not living.calls("ssh")
    # The machine that is about to stop comes first.
    first = living.calls("az", "tag", "update")[0]
    assert first[first.index("--resource-id") + 1] == HEAD["id"]


def test_extend_never_shortens_what_another_checkout_has_extended(operate, living):
    tags = {"savanna-limits": "JOIN_MINUTES=30 IDLE_MINUTES=60 MAX_HOURS=48"}
    later = HEAD | {"tags": HEAD["tags"] | tags | {"savanna-expires": "2099-01-10T00:00Z"}}
    living.state["machines"][0] = later
    kind = {"type": "Microsoft.Compute/virtualMachines"}
    living.state["resources"] = [one for one in living.state["resources"] if "Head" not in one]
    living.state["resources"].append({**later, **kind})
    living.save()
    code, _, err = operate("extend", "--hours", "4")
    assert code == 0, err
    head = living.read()["machines"][0]["tags"]
    assert "MAX_HOURS=52" in head["savanna-limits"]
    assert head["savanna-expires"] == "2099-01-10T04:00Z"


@pytest.mark.parametrize("hours", ["", "x", "0", "-1", "100000"])
def test_extend_says_what_it_takes(operate, living, hours):
    code, _, err = operate("extend", f"--hours={hours}")
    assert code == 2 and f"HOURS={hours}: must be" in err
    assert not living.calls("az", "tag", "update")


# The right subscription


def test_the_first_up_writes_the_subscription_for_both_programs(operate, cloud, settings):
    settings.update(DIGESTS)
    cloud.save(registry_images=[DIGESTS["cpuImage"], DIGESTS["gpuImage"]])
    code, _, err = operate("up")
    assert code == 2 and "subscription Research (s)" in err
    assert operate("up", "--yes")[0] == 0
    sets = [c for c in cloud.calls("pulumi", "config", "set") if c[4].endswith("subscriptionId")]
    assert [(c[1], c[5]) for c in sets] == [("cluster", "s"), ("foundation", "s")]


@pytest.mark.parametrize("arguments", [["status"], ["down", "--yes"], ["up", "--yes"]])
def test_another_subscription_of_az_is_not_used(operate, living, arguments):
    here, other = living.state["account"], {**living.state["account"], "id": "t", "name": "Other"}
    living.save(account=other, accounts=[here])
    assert operate(*arguments)[0] == 0
    asked = [c for c in living.calls("az") if c[2] not in ("version", "extension")]
    named = [c[c.index("--subscription") + 1] if "--subscription" in c else "" for c in asked]
    assert set(named) == {"s"}, list(zip(named, asked, strict=True))


def test_a_login_that_does_not_see_the_subscription_is_refused(operate, living):
    living.save(account={**living.state["account"], "id": "t"})
    code, _, err = operate("down", "--yes")
    assert code == 2 and "is in subscription s, which this login does not see: az login" in err
    assert not living.calls("pulumi", "destroy")


def test_settings_that_name_another_subscription_than_the_cluster_s_are_refused(
    operate, living, settings, monkeypatch
):
    other = {"azure-native:subscriptionId": "t"}
    monkeypatch.setattr(
        "infra.operate.stack.read_given",
        lambda name: Given(name, settings, EXAMPLE_FOUNDATION, other),
    )
    for arguments in (["up", "--yes"], ["down", "--yes"]):
        code, _, err = operate(*arguments)
        assert code == 2 and "was built in subscription s, but Pulumi.dev.yaml says t" in err
    assert not living.calls("pulumi", "up") and not living.calls("pulumi", "destroy")
