"""`make down` reaches zero from any state, touches nothing of others, and names what remains."""

import json

from azure_cli import GROUP, RUNNING, TAGS, resource

ASSIGNMENT = "/subscriptions/s/vaults/v/providers/Microsoft.Authorization/roleAssignments/a"
OF_OTHERS = ASSIGNMENT.replace("/a", "/b")
DEFINITION = f"{GROUP}/Microsoft.Authorization/roleDefinitions/stop"
ROLES = {
    "identities": [{"id": "x", "tags": TAGS, "principalId": "p1"}],
    "role_assignments": [
        {"id": ASSIGNMENT, "principalId": "p1"},
        {"id": OF_OTHERS, "principalId": "p2"},
    ],
    "role_definitions": [
        {"id": DEFINITION, "roleName": "savanna node stop (savanna-dev, 0)"},
        {"id": f"{DEFINITION}2", "roleName": "savanna node stop (savanna-dev2, 0)"},
    ],
}


def state(cloud) -> dict:
    return json.loads((cloud.folder / "state.json").read_text())


def order(cloud, *words: str) -> list[int]:
    """Where calls with these words are among all."""
    made = cloud.everything().splitlines()
    return [next(i for i, call in enumerate(made) if word in call) for word in words]


def test_a_lost_state_is_no_reason_to_stay(operate, cloud):
    cloud.running(deployed=["foundation"], **ROLES)
    code, _, err = operate("down", "--yes")
    assert code == 0, err
    assert "its state is lost" in err and "is gone" in err
    left = state(cloud)
    assert left["groups"] == [] and left["resources"] == [] and left["machines"] == []
    assert [one["id"] for one in left["role_assignments"]] == [OF_OTHERS]
    assert [one["id"] for one in left["role_definitions"]] == [f"{DEFINITION}2"]
    assert not cloud.calls("pulumi", "destroy")
    # It was still asked to let runs write a checkpoint.
    assert any("agent stop" in call[-1] for call in cloud.calls("ssh"))


def test_with_a_wrong_passphrase_nothing_is_stopped_before_it_is_sure(
    operate, cloud, monkeypatch, tmp_path
):
    settings = tmp_path / "Pulumi.dev.yaml"
    settings.write_text("encryptionsalt: v1:abc\nconfig:\n  savanna:owner: me\n")
    monkeypatch.setattr("infra.operate.down.ROOT", tmp_path)
    cloud.running(wrong_passphrase=True)
    answers = ["y", "n"]
    terminal = {"isatty": lambda _: True, "readline": lambda _: answers.pop(0) + "\n"}
    monkeypatch.setattr("sys.stdin", type("Terminal", (), terminal)())
    code, _, err = operate("down")
    assert code == 1 and "incorrect passphrase" in err and "right passphrase" in err
    assert not cloud.calls("ssh") and state(cloud)["machines"]
    assert operate("down", "--yes")[0] == 0
    assert state(cloud)["groups"] == [] and not cloud.calls("pulumi", "destroy")
    # The next `up` may have another passphrase (pulumi#17759).
    assert settings.read_text() == "config:\n  savanna:owner: me\n"


def test_a_lock_on_the_group_stops_before_anything_is_stopped(operate, cloud):
    lock = "/subscriptions/s/resourceGroups/savanna-dev/providers/Microsoft.Authorization/locks/no"
    nat = resource("Microsoft.Network/natGateways", "savanna-dev-nat")
    cloud.running(
        azure_locks=[{"id": lock, "level": "CanNotDelete", "notes": "by Security"}],
        resources=[nat, RUNNING["resources"][0]],
    )
    code, _, err = operate("down", "--yes")
    assert code == 1 and "CanNotDelete no on /subscriptions/s/resourceGroups/savanna-dev" in err
    assert f"az lock delete --ids {lock}" in err
    assert "savanna-dev-nat  Network/natGateways  $0.045 per hour" in err
    assert "savanna-dev-head  Compute/virtualMachines  $0." in err and "per day" in err
    assert not cloud.calls("ssh") and not cloud.calls("pulumi", "destroy")
    assert not cloud.calls("pulumi", "state")


def test_a_lock_on_the_foundation_keeps_roles_alone_and_is_named(operate, cloud):
    home = "/subscriptions/s/resourceGroups/savanna-dev-foundation"
    role = f"{home}/providers/Microsoft.Authorization/roleAssignments/a"
    lock = f"{home}/providers/Microsoft.Authorization/locks/keep"
    cloud.running(
        azure_locks=[{"id": lock, "level": "CanNotDelete"}],
        destroy_fails="cluster",
        identities=ROLES["identities"],
        role_assignments=[{"id": role, "principalId": "p1"}],
    )
    code, _, err = operate("down", "--yes")
    assert "lock CanNotDelete keep" in err.split("Destroy")[0]
    assert code == 1 and f"not removed: {role}: (ScopeLocked)" in err
    left = state(cloud)
    assert left["groups"] == [] and left["resources"] == []
    # Pulumi keeps its record: the same command goes on when the lock is lifted.
    assert not cloud.calls("pulumi", "stack", "rm")
    cloud.state = left
    cloud.save(azure_locks=[], destroy_fails="")
    assert operate("down", "--yes")[0] == 0


def test_pulumi_destroys_all_that_it_can(operate, cloud):
    cloud.running()
    operate("down", "--yes")
    [destroy] = cloud.calls("pulumi", "destroy")
    assert "--continue-on-error" in destroy and "--exclude" not in destroy


def test_pools_are_emptied_before_their_subnet_goes(operate, cloud):
    pools = [
        {"name": "savanna-dev-cpu", "tags": TAGS, "sku": {"capacity": 2}},
        {"name": "savanna-dev-idle", "tags": TAGS, "sku": {"capacity": 0}},
        {"name": "payroll", "tags": {}, "sku": {"capacity": 9}},
    ]
    cloud.running(scale_sets=pools)
    assert operate("down", "--yes")[0] == 0
    [scale] = cloud.calls("az", "vmss", "scale")
    assert scale[5] == "savanna-dev-cpu" and scale[scale.index("--new-capacity") + 1] == "0"
    leave, empty, destroy = order(cloud, "agent stop", '"scale"', '"destroy"')
    assert leave < empty < destroy


def test_what_strangers_have_in_the_group_stays_with_the_group(operate, cloud):
    theirs = resource("Microsoft.Compute/virtualMachines", "payroll", tags={"team": "finance"})
    subnet = f"{GROUP}/Microsoft.Network/virtualNetworks/savanna-dev-network"
    network = resource("Microsoft.Network/virtualNetworks", "savanna-dev-network")
    set_ = {
        **resource("Microsoft.Compute/virtualMachineScaleSets", "savanna-dev-cpu"),
        "uses": [subnet],
    }
    cloud.running(resources=[theirs, network, set_, *RUNNING["resources"]], destroy_fails="cluster")
    code, _, err = operate("down", "--yes")
    assert code == 0, err
    goes, stays = err.split("\nwill stay:\n")
    assert "payroll" not in goes and "payroll  Compute/virtualMachines, which is not" in stays
    [destroy] = cloud.calls("pulumi", "destroy")
    assert destroy[destroy.index("--exclude") + 1].endswith("ResourceGroup::group-own")
    assert not cloud.calls("az", "group", "delete")
    assert [one["name"] for one in state(cloud)["resources"]] == ["payroll"]


def test_a_group_that_was_brought_along_loses_only_ours(operate, cloud, settings):
    settings["resourceGroup"] = "shared"
    group = GROUP.replace("savanna-dev", "shared")
    theirs = resource("Microsoft.Compute/disks", "payroll", tags=None, group=group)
    address = resource("Microsoft.Network/publicIPAddresses", "savanna-dev-nat", group=group)
    nat = {
        **resource("Microsoft.Network/natGateways", "savanna-dev-nat", group=group),
        "uses": [address["id"]],
    }
    cloud.running(
        groups=["shared"], resources=[address, nat, theirs], machines=[], deployed=["foundation"]
    )
    code, _, err = operate("down", "--yes")
    assert code == 0, err
    assert [one["name"] for one in state(cloud)["resources"]] == ["payroll"]
    assert state(cloud)["groups"] == ["shared"]


def test_a_group_of_this_name_without_our_tags_is_not_deleted(operate, cloud):
    cloud.running(deployed=["foundation"], group_tags={"team": "finance"})
    assert operate("down", "--yes")[0] == 0
    assert not cloud.calls("az", "group", "delete")
    assert state(cloud)["resources"] == [] and state(cloud)["groups"] == ["savanna-dev"]
