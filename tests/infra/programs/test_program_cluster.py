"""The cluster's program as a whole: what it declares, and in which order."""

from graphlib import TopologicalSorter

import pulumi
import pytest
from azure_settings import EXISTING
from example import CLUSTER, VARIANTS, cluster, foundation, foundation_outputs

from infra.config.problems import SettingsError
from infra.plan.engine import UNKNOWN

# Failed runs leave outputs that nobody awaits.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine 'Output")
MACHINES = {"VirtualMachine", "VirtualMachineScaleSet"}


def short(resource) -> str:
    return resource.type.split(":")[-1]


def graph(run) -> dict[str, set[str]]:
    """URN -> what it needs: dependencies, both declared and through inputs, and its parent."""
    needs = {}
    for r in run.resources:
        of_inputs = set().union(*r.options.property_dependencies.values(), set())
        parent = {r.options.parent} if r.options.parent else set()
        needs[r.urn] = set(r.options.dependencies) | of_inputs | parent
    return needs


def all_needs(run, urn: str) -> set[str]:
    """Everything that must exist before `urn`, and is removed after it."""
    needs, found, todo = graph(run), set(), [urn]
    while todo:
        new = needs.get(todo.pop(), set()) - found
        found |= new
        todo += new
    return found


@pytest.fixture(scope="module")
def known():
    return cluster()


@pytest.fixture(scope="module", params=VARIANTS)
def variant(request):
    return cluster(**VARIANTS[request.param])


@pytest.mark.parametrize("name", VARIANTS)
def test_a_first_preview_declares_what_an_update_makes(name):
    update, preview = (cluster(preview=p, **VARIANTS[name]) for p in (False, True))
    assert [(r.urn, r.options) for r in preview.resources] == [
        (r.urn, r.options) for r in update.resources
    ]
    assert preview.one("VirtualMachine").inputs["osProfile"]["customData"] == UNKNOWN


def test_the_program_itself_runs():
    # If the program were not run, these would not follow its settings.
    run = cluster(name="other", pools="[{name: blue, size: Standard_D8as_v6, min: 3, max: 3}]")
    pool = run.one("VirtualMachineScaleSet").inputs
    assert pool["vmScaleSetName"] == "other-test-blue" and pool["sku"]["capacity"] == 3
    assert run.outputs["scale_sets"] == {"blue": "other-test-blue"}


def test_a_wrong_setting_stops_it_before_anything_is_declared():
    with pytest.raises(SettingsError, match=r"headSize 'Standard_NC6'.*NC8as_T4_v3") as caught:
        cluster(headSize="STANDARD_NC6")
    assert isinstance(caught.value, pulumi.RunError)  # whose text Pulumi shows, without traceback


def test_a_foundation_that_lacks_an_output_is_an_error():
    outputs = {k: v for k, v in foundation_outputs().items() if k != "vault_id"}
    with pytest.raises(KeyError, match="vault_id"):
        cluster(outputs=outputs)


def test_outputs(known):
    assert known.outputs == {
        "location": "westeurope",
        "resource_group": "savanna-test",
        "head_vm": "savanna-test-head",
        "head_vm_id": known.outputs["head_vm_id"],
        "head_unique_id": known.outputs["head_unique_id"],
        "head_address": "10.0.0.4",
        "scale_sets": {"cpu": "savanna-test-cpu", "steady": "savanna-test-steady"},
        "bastion": "savanna-test-bastion",
        "storage_uri": foundation_outputs()["storage_uri"] + "/test",
        "ray_token_uri": known.outputs["ray_token_uri"],
        "expires": known.outputs["expires"],
        "subscription": "00000000-0000-0000-0000-00000000abcd",
        "tenant": "00000000-0000-0000-0000-00000000ef01",
        "settings": known.outputs["settings"],
    }
    # With defaults, so that a changed default is seen as well.
    assert known.outputs["settings"]["idleMinutes"] == 30
    assert known.outputs["settings"]["pools"]["steady"]["diskGib"] == 64
    assert len(known.outputs["head_unique_id"]) == 36
    vault = foundation_outputs()["vault_uri"]
    assert known.outputs["ray_token_uri"].startswith(f"{vault}secrets/ray-token-secret")
    assert known.outputs["head_vm_id"].endswith("/virtualMachines/savanna-test-head")
    assert cluster(bastion=False, adminRanges=["10.9.0.0/24"]).outputs["bastion"] == ""


# What is declared where


def test_all_is_in_the_cluster_s_own_group_but_rights_and_the_token(variant):
    group = variant.outputs["resource_group"]
    outside = [
        short(r)
        for r in variant.created()
        if r.inputs.get("resourceGroupName") != group and "scope" not in r.inputs
    ]
    assert sorted(outside) == ["Secret"]
    scoped = {short(r) for r in variant.created() if "scope" in r.inputs}
    assert scoped == {"RoleAssignment", "RoleDefinition"}


def test_everything_has_a_component_as_parent(variant):
    components = {r.urn for r in variant.resources if not r.custom}
    assert {r.options.parent for r in variant.created()} <= components
    assert all(r.type.startswith("savanna:infra:") for r in variant.resources if not r.custom)


def test_only_nat_gateway_and_bastion_have_public_addresses(variant):
    addresses = variant.of_type("PublicIPAddress")
    users = {"network-nat-address": "NatGateway", "bastion-address": "BastionHost"}
    assert {a.name for a in addresses} <= set(users)
    for address in addresses:
        (user,) = [r for r in variant.created() if address.urn in r.options.dependencies]
        assert short(user) == users[address.name]
        assert address.inputs["publicIPAllocationMethod"] == "Static"
    text = repr(
        [r.inputs for r in variant.created() if short(r) in MACHINES | {"NetworkInterface"}]
    )
    assert "publicIP" not in text


def test_everything_is_tagged(variant):
    untagged = {"RoleAssignment", "RoleDefinition", "Subnet"}
    for resource in variant.created():
        if short(resource) not in untagged:
            tags = resource.inputs["tags"]
            assert tags["savanna-project"] == "savanna" and tags["savanna-stack"] == "test"
            assert tags["savanna-owner"] == CLUSTER["owner"]
            assert tags["savanna-expires"] == variant.outputs["expires"]


def test_an_existing_subnet_gets_our_rules_and_nothing_else():
    run = cluster(**EXISTING)
    for type_ in ("VirtualNetwork", "Subnet", "NatGateway", "PublicIPAddress", "BastionHost"):
        assert not run.of_type(type_)
    assert len(run.of_type("NetworkSecurityGroup")) == 2
    interface = run.one("NetworkInterface").inputs["ipConfigurations"][0]
    assert interface["subnet"] == {"id": EXISTING["existingSubnetId"]}
    assert interface["privateIPAddress"] == EXISTING["headAddress"]


def test_an_existing_group_is_used_and_not_declared():
    run = cluster(resourceGroup="theirs")
    assert not run.of_type("ResourceGroup") and run.outputs["resource_group"] == "theirs"
    assert run.one("RoleDefinition").inputs["scope"].endswith("/resourceGroups/theirs")


def test_our_own_subnets_have_rules_and_one_way_out(known):
    gateway = known.one("NatGateway")
    for role in ("head", "worker"):
        subnet = known.one("Subnet", f"network-{role}")
        assert subnet.inputs["defaultOutboundAccess"] is False
        assert subnet.options.property_dependencies["natGateway"] == {gateway.urn}
        rules = known.one("NetworkSecurityGroup", f"network-{role}-rules")
        assert subnet.options.property_dependencies["networkSecurityGroup"] == {rules.urn}
    # No inline list of subnets in the network: it would remove the separate ones.
    assert "subnets" not in known.one("VirtualNetwork").inputs


def test_rules_are_those_of_the_table_and_end_with_a_deny(known):
    for role in ("head", "worker"):
        rules = known.one("NetworkSecurityGroup", f"network-{role}-rules").inputs["securityRules"]
        assert len({rule["priority"] for rule in rules}) == len(rules)
        last = max(rules, key=lambda rule: rule["priority"])
        assert (last["access"], last["protocol"], last["destinationPortRange"]) == (
            "Deny",
            "*",
            "*",
        )
        assert last["sourceAddressPrefix"] == "*" and last["priority"] == 4096
        # A list of ports may not hold "*".
        assert not any("*" in rule.get("destinationPortRanges", []) for rule in rules)


# Order


def test_machines_wait_for_their_rights_the_token_and_the_way_out(known):
    names = {r.urn: (short(r), r.name) for r in known.resources}
    for machine in known.created():
        if short(machine) not in MACHINES:
            continue
        role = "head" if short(machine) == "VirtualMachine" else "worker"
        direct = {names[urn] for urn in machine.options.dependencies}
        grants = {n for t, n in direct if t == "RoleAssignment"}
        assert grants == {f"{role}-identity-{g}" for g in ("pull", "results", "token", "stop")}
        assert ("Secret", "ray-token-secret") in direct
        before = {names[urn] for urn in all_needs(known, machine.urn) if urn in names}
        assert ("NatGateway", "network-nat") in before
        assert ("NetworkSecurityGroup", f"network-{role}-rules") in before


def test_a_destroy_order_exists(variant):
    order = list(TopologicalSorter(graph(variant)).static_order())  # raises on a cycle
    assert {r.urn for r in variant.resources} <= set(order)
    groups = variant.of_type("ResourceGroup")
    for resource in variant.created():
        elsewhere = short(resource) in ("ResourceGroup", "Secret") or "scope" in resource.inputs
        if groups and not elsewhere:
            assert groups[0].urn in all_needs(variant, resource.urn), resource.name


def test_a_virtual_network_gets_one_change_at_a_time(known):
    subnets = sorted(known.of_type("Subnet"), key=lambda r: len(all_needs(known, r.urn)))
    for earlier, later in zip(subnets, subnets[1:]):
        assert earlier.urn in all_needs(known, later.urn)


def test_tags_of_one_s_own_are_on_everything_that_has_tags(known):
    run = cluster(tags="{team: rl, number: 4711}")
    tagged = [r for r in run.created() if "tags" in r.inputs]
    assert len(tagged) == len([r for r in known.created() if "tags" in r.inputs]) > 8
    for resource in tagged:
        assert resource.inputs["tags"]["team"] == "rl"
        assert resource.inputs["tags"]["number"] == "4711"
        assert resource.inputs["tags"]["savanna-project"] == "savanna"


# Machines


def test_capacity_belongs_to_who_scales(known):
    for pool in known.of_type("VirtualMachineScaleSet"):
        assert pool.options.ignore_changes == ("sku.capacity",)
    cpu, steady = (known.one("VirtualMachineScaleSet", f"{n}-set") for n in ("cpu", "steady"))
    assert cpu.inputs["sku"]["capacity"] == 1 and steady.inputs["sku"]["capacity"] == 0


def test_what_azure_changes_on_no_scale_set_replaces_it_under_its_name(known):
    for pool in known.of_type("VirtualMachineScaleSet"):
        replaced = set(pool.options.replace_on_changes)
        profile = ("priority", "evictionPolicy", "billingProfile")
        assert {f"virtualMachineProfile.{name}" for name in profile} <= replaced
        assert pool.options.delete_before_replace
        assert not any(path.startswith(("sku", "tags")) for path in replaced)
    # -1 is left out: a later PUT of it is refused while machines run.
    spot = known.one("VirtualMachineScaleSet", "cpu-set").inputs["virtualMachineProfile"]
    assert spot["priority"] == "Spot" and "billingProfile" not in spot


def test_a_head_that_must_change_is_replaced_and_the_old_one_goes_first(known):
    options = known.one("VirtualMachine").options
    assert options.delete_before_replace
    # All that Azure refuses to change, and nothing that an Azure Policy sets.
    replaced = set(options.replace_on_changes)
    assert {
        "osProfile.customData",
        "osProfile.linuxConfiguration.ssh",
        "storageProfile.imageReference",
    } <= replaced
    assert not {"osProfile", "osProfile.linuxConfiguration", "tags"} & replaced
    assert options.ignore_changes == ("osProfile.linuxConfiguration.patchSettings",)
    # The address stays: the interface is not deleted with the machine.
    (interface,) = known.one("VirtualMachine").inputs["networkProfile"]["networkInterfaces"]
    assert interface["deleteOption"] == "Detach"
    assert known.one("NetworkInterface").inputs["ipConfigurations"][0] == {
        "name": "head",
        "primary": True,
        "privateIPAddress": "10.0.0.4",
        "privateIPAllocationMethod": "Static",
        "subnet": known.one("NetworkInterface").inputs["ipConfigurations"][0]["subnet"],
    }


def test_what_takes_azure_long_may_take_long(known):
    for type_ in (*MACHINES, "BastionHost"):
        for resource in known.of_type(type_):
            minutes = [int(t.removesuffix("m")) for t in resource.options.custom_timeouts.values()]
            assert len(minutes) == 3 and min(minutes) >= 30


def test_nothing_of_a_cluster_is_protected_or_left_but_the_token(variant):
    assert not [r.name for r in variant.resources if r.options.protect]
    assert [short(r) for r in variant.resources if r.options.retain_on_delete] == ["Secret"]


def test_the_provider_is_the_pinned_one(known):
    pins = (foundation().created(), known.created())
    assert {r.options.version for run in pins for r in run} == {"3.29.0"}
