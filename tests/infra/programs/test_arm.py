"""Would Azure understand the programs' requests? Its own types, and rules beyond types."""

from copy import deepcopy
from dataclasses import replace

import pytest
from arm_bodies import BODIES, problems
from example import VARIANTS, cluster, foundation

from infra.config import sizes
from infra.config.os_images import disk_controller, os_image
from infra.plan.engine import walk


@pytest.fixture(scope="module")
def known():
    return cluster()


@pytest.mark.parametrize("preview", [False, True])
@pytest.mark.parametrize("name", VARIANTS)
def test_the_cluster_fits_arm_s_types(name, preview):
    run = cluster(preview=preview, **VARIANTS[name])
    assert [line for r in run.created() for line in problems(r)] == []


@pytest.mark.parametrize("changes", [{}, {"repository": ""}, {"resourceGroup": "theirs"}])
def test_the_foundation_fits_arm_s_types(changes):
    assert [line for r in foundation(**changes).created() for line in problems(r)] == []


def test_every_type_of_the_table_is_in_use(known):
    used = {r.type.removeprefix("azure-native:") for r in known.created() + foundation().created()}
    assert used == set(BODIES)


PLANTED = {
    "an enum's value": (
        "VirtualMachineScaleSet",
        "cpu-set",
        ("orchestrationMode",),
        "Flexibel",
        "properties.orchestrationMode: 'Flexibel' is not one of Uniform, Flexible",
    ),
    "a deep enum's value": (
        "VirtualMachineScaleSet",
        "cpu-set",
        ("virtualMachineProfile", "storageProfile", "osDisk", "deleteOption"),
        "Remove",
        "properties.virtualMachineProfile.storageProfile.osDisk.deleteOption: 'Remove' is not",
    ),
    "a misspelt key": (
        "VirtualMachineScaleSet",
        "cpu-set",
        ("virtualMachineProfile", "priorty"),
        "Spot",
        "properties.virtualMachineProfile.priorty: unknown key",
    ),
    "a subnet at the wrong level": (
        "VirtualMachineScaleSet",
        "cpu-set",
        (
            "virtualMachineProfile",
            "networkProfile",
            "networkInterfaceConfigurations",
            0,
            "ipConfigurations",
            0,
            "subnetId",
        ),
        "/subnets/x",
        "ipConfigurations[0].subnetId: unknown key",
    ),
    "an address at the wrong level": (
        "NetworkInterface",
        "",
        ("privateIPAddress",),
        "10.0.0.4",
        "privateIPAddress: unknown key",
    ),
    "a rule without priority": (
        "NetworkSecurityGroup",
        "network-head-rules",
        ("securityRules", 0, "priority"),
        None,
        "properties.securityRules[0].properties.priority: required and missing",
    ),
    "a machine without location": (
        "VirtualMachine",
        "",
        ("location",),
        None,
        "location: required and missing",
    ),
    "a grant to nobody": (
        "RoleAssignment",
        "head-identity-pull",
        ("principalId",),
        None,
        "properties.principalId: required and missing",
    ),
    "a grant's unknown kind": (
        "RoleAssignment",
        "head-identity-pull",
        ("principalType",),
        "Robot",
        "properties.principalType: 'Robot' is not one of User, Group, ServicePrincipal",
    ),
    "text for a number": (
        "VirtualMachine",
        "",
        ("storageProfile", "osDisk", "diskSizeGB"),
        "128",
        "properties.storageProfile.osDisk.diskSizeGB: '128' is not of type int",
    ),
    "text for a switch": (
        "Subnet",
        "network-head",
        ("defaultOutboundAccess",),
        "false",
        "properties.defaultOutboundAccess: 'false' is not of type bool",
    ),
    "one thing for a list": (
        "VirtualNetwork",
        "",
        ("addressSpace", "addressPrefixes"),
        "10.0.0.0/16",
        "properties.addressSpace.addressPrefixes: '10.0.0.0/16' is not a list",
    ),
    "an unknown key of a role": (
        "RoleDefinition",
        "",
        ("permissions", 0, "dataaction"),
        [],
        "properties.permissions[0].dataaction: unknown key",
    ),
}


@pytest.mark.parametrize("planted", PLANTED)
def test_planted_errors_are_found(known, planted):
    type_, name, (*way, last), value, message = PLANTED[planted]
    resource = known.one(type_, name)
    inputs = deepcopy(resource.inputs)
    place = inputs
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    (line,) = problems(replace(resource, inputs=inputs))
    assert message in line and line.startswith(resource.name)


def test_planted_errors_of_the_foundation_are_found():
    run = foundation()
    for type_, key, value, message in (
        ("azure-native:containerregistry:Registry", "adminUserEnable", True, "unknown key"),
        ("StorageAccount", "minimumTlsVersion", "TLS1_9", "'TLS1_9' is not one of"),
        ("azure-native:keyvault:Vault", "properties", {"sku": {"name": "standard"}}, "tenantId"),
        ("azure-native:consumption:Budget", "timeGrain", "Weekly", "'Weekly' is not one of"),
        ("ResourceGroup", "managedby", "x", "managedby: unknown key"),
        ("FederatedIdentityCredential", "subjects", ["x"], "subjects: unknown key"),
    ):
        resource = run.one(type_)
        lines = problems(replace(resource, inputs={**resource.inputs, key: value}))
        assert lines and any(message in line for line in lines), (type_, lines)


def test_a_type_without_a_body_is_reported(known):
    resource = replace(known.one("NatGateway"), type="azure-native:dns:Zone")
    assert "no ARM type" in problems(resource)[0]


@pytest.mark.parametrize("name", VARIANTS)
def test_flexible_scale_sets_have_what_flexible_takes(name):
    for pool in cluster(**VARIANTS[name]).of_type("VirtualMachineScaleSet"):
        inputs = pool.inputs
        assert inputs["orchestrationMode"] == "Flexible"
        assert inputs["platformFaultDomainCount"] == 1 and inputs["singlePlacementGroup"] is False
        assert not {"overprovision", "upgradePolicy", "automaticRepairsPolicy"} & set(inputs)
        assert not {"spotRestorePolicy", "scaleInPolicy", "priorityMixPolicy"} & set(inputs)
        assert inputs["identity"]["type"] == "UserAssigned"
        profile = inputs["virtualMachineProfile"]
        assert profile["networkProfile"]["networkApiVersion"] >= "2020-11-01"
        assert profile["networkProfile"]["networkInterfaceConfigurations"][0]["deleteOption"] == (
            "Delete"
        )
        assert profile["storageProfile"]["osDisk"]["deleteOption"] == "Delete"


def test_spot_is_deleted_and_has_a_price_and_the_rest_has_neither():
    run = cluster(
        pools="""
- {name: spot, size: Standard_D16as_v6, spot: true, maxPrice: 0.25, max: 4}
- {name: steady, size: Standard_D8as_v6, max: 2}
"""
    )
    profiles = {
        name: run.one("VirtualMachineScaleSet", f"{name}-set").inputs["virtualMachineProfile"]
        for name in ("spot", "steady")
    }
    assert profiles["spot"]["priority"] == "Spot"
    assert profiles["spot"]["evictionPolicy"] == "Delete"
    assert profiles["spot"]["billingProfile"] == {"maxPrice": 0.25}
    # Azure announces removal by hand only for on-demand machines.
    notice = {"terminateNotificationProfile": {"enable": True, "notBeforeTimeout": "PT5M"}}
    assert profiles["steady"]["scheduledEventsProfile"] == notice
    assert "scheduledEventsProfile" not in profiles["spot"]
    for profile in (profiles["steady"], run.one("VirtualMachine").inputs):
        assert profile["priority"] == "Regular"
        assert not {"evictionPolicy", "billingProfile"} & set(profile)


USABLE = [size for size in sizes.load().values() if 2 in size.generations]


@pytest.mark.parametrize("size", USABLE, ids=lambda size: size.name)
def test_every_size_gets_an_image_and_a_controller_that_it_boots_from(size):
    image, controller = os_image(size), disk_controller(size)
    assert image.generation in size.generations
    assert controller in size.disk_controllers and controller in image.disk_controllers
    assert (image.offer == "ubuntu-hpc") == (size.gpus > 0)  # the one with a driver
    assert image.version not in ("", "latest")


def test_machines_say_which_controller_they_boot_from(known):
    # The sixth generation of sizes supports only NVMe and refuses images that do not declare it.
    head, cpu = known.one("VirtualMachine"), known.one("VirtualMachineScaleSet", "cpu-set")
    assert head.inputs["storageProfile"]["diskControllerType"] == "SCSI"
    profile = cpu.inputs["virtualMachineProfile"]["storageProfile"]
    assert profile["diskControllerType"] == "NVMe"
    assert profile["imageReference"]["sku"] == "server"


@pytest.mark.parametrize("name", VARIANTS)
def test_nodes_can_be_deallocated(name):
    # Azure cannot deallocate a machine whose disk is on its host, and that is how ours stop.
    for resource in cluster(**VARIANTS[name]).created():
        assert not [path for path, _ in walk(resource.inputs) if "diffDiskSettings" in path]


def test_logins_are_by_key_alone(known):
    for type_ in ("VirtualMachine", "VirtualMachineScaleSet"):
        for resource in known.of_type(type_):
            profile = resource.inputs.get("virtualMachineProfile", resource.inputs)["osProfile"]
            assert profile["linuxConfiguration"]["disablePasswordAuthentication"] is True
            assert "adminPassword" not in profile
            (key,) = profile["linuxConfiguration"]["ssh"]["publicKeys"]
            assert key["path"] == f"/home/{profile['adminUsername']}/.ssh/authorized_keys"
