"""Each rule accepts a good resource and catches a bad one; the pack runs the same functions."""

import base64
import copy
from types import SimpleNamespace

import pytest
from pulumi_policy import PolicyCustomTimeouts, PolicyResourceOptions, ResourceValidationArgs

from infra.policies.pack import policies
from infra.policies.rules import RULES, violations

DIGEST = "@sha256:" + "ab" * 32
TAGS = {
    "savanna-project": "savanna",
    "savanna-stack": "prod",
    "savanna-owner": "team@example.org",
    "savanna-expires": "2026-12-01T18:00Z",
}
DURABLE = {key: value for key, value in TAGS.items() if key != "savanna-expires"}


def cloud_init(version: str = DIGEST) -> str:
    text = f"#cloud-config\nwrite_files:\n- content: IMAGE=x.azurecr.io/savanna-cpu{version}\n"
    return base64.b64encode(text.encode()).decode()


def machine(version: str = DIGEST) -> dict:
    return {
        "osProfile": {
            "customData": cloud_init(version),
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"keyData": "ssh-ed25519 AAAA"}]},
            },
        },
        "storageProfile": {"osDisk": {"deleteOption": "Delete", "diskSizeGB": 64}},
    }


def rule(priority: int, ports: list[str], source: str, **more: object) -> dict:
    return {
        "name": f"rule-{priority}",
        "priority": priority,
        "direction": "Inbound",
        "access": "Allow",
        "protocol": "Tcp",
        "sourceAddressPrefix": source,
        "destinationPortRanges": ports,
        **more,
    }


GOOD = {
    "group": (
        "azure-native:network:NetworkSecurityGroup",
        {
            "tags": TAGS,
            "securityRules": [
                rule(200, ["6379", "10002-10999"], "10.0.1.0/24"),
                rule(300, ["22"], "203.0.113.0/24"),
                rule(4096, ["*"], "*", access="Deny", protocol="*"),
            ],
        },
    ),
    "subnet": (
        "azure-native:network:Subnet",
        {"subnetName": "workers", "defaultOutboundAccess": False},
    ),
    "interface": (
        "azure-native:network:NetworkInterface",
        {"tags": TAGS, "ipConfigurations": [{"subnet": {"id": "/subnets/head"}}]},
    ),
    "address": ("azure-native:network:PublicIPAddress", {"tags": TAGS}),
    "nat": (
        "azure-native:network:NatGateway",
        {"tags": TAGS, "publicIpAddresses": [{"id": "/publicIPAddresses/nat"}]},
    ),
    "storage": (
        "azure-native:storage:StorageAccount",
        {
            "tags": DURABLE,
            "allowSharedKeyAccess": False,
            "allowBlobPublicAccess": False,
            "minimumTlsVersion": "TLS1_2",
            "enableHttpsTrafficOnly": True,
        },
    ),
    "container": ("azure-native:storage:BlobContainer", {"publicAccess": "None"}),
    "registry": (
        "azure-native:containerregistry:Registry",
        {"tags": DURABLE, "adminUserEnabled": False, "anonymousPullEnabled": False},
    ),
    "vault": (
        "azure-native:keyvault:Vault",
        {"tags": DURABLE, "properties": {"enableRbacAuthorization": True}},
    ),
    "head": (
        "azure-native:compute:VirtualMachine",
        {
            "tags": TAGS,
            **machine(),
            "networkProfile": {"networkInterfaces": [{"id": "nic", "deleteOption": "Delete"}]},
        },
    ),
    "pool": (
        "azure-native:compute:VirtualMachineScaleSet",
        {
            "tags": TAGS,
            "virtualMachineProfile": {
                **machine(),
                "priority": "Spot",
                "evictionPolicy": "Delete",
                "billingProfile": {"maxPrice": 0.25},
                "networkProfile": {
                    "networkInterfaceConfigurations": [{"name": "nic", "deleteOption": "Delete"}]
                },
            },
        },
    ),
    "assignment": (
        "azure-native:authorization:RoleAssignment",
        {
            "roleDefinitionId": "/subscriptions/s/providers/Microsoft.Authorization/"
            "roleDefinitions/7f951dda-4ed3-4680-a7ca-43fe172d538d"
        },
    ),
    "role": (
        "azure-native:authorization:RoleDefinition",
        {"permissions": [{"actions": ["Microsoft.Compute/virtualMachines/deallocate/action"]}]},
    ),
}
OPTIONS = SimpleNamespace(ignore_changes=["sku.capacity"])
VM_PROFILE = "virtualMachineProfile"
LINUX = "linuxConfiguration"


def broken(name: str, *path: object, to: object) -> tuple[str, dict]:
    """A good resource with the input at `path` set to another value (None: removed)."""
    type_, inputs = copy.deepcopy(GOOD[name])
    place = inputs
    for key in path[:-1]:
        place = place[key]
    if to is None:
        del place[path[-1]]
    else:
        place[path[-1]] = to
    return type_, inputs


@pytest.mark.parametrize("name", GOOD)
def test_a_good_resource_breaks_no_rule(name):
    type_, inputs = GOOD[name]
    assert violations(type_, inputs, OPTIONS, name) == []


RULES_AT = ("group", "securityRules")
PLANTED = [
    ("closed-to-the-internet", *RULES_AT, 0, "sourceAddressPrefix", "*"),
    ("closed-to-the-internet", *RULES_AT, 0, "sourceAddressPrefix", "Internet"),
    ("closed-to-the-internet", *RULES_AT, 1, "sourceAddressPrefix", "Internet"),
    ("closed-to-the-internet", *RULES_AT, 1, "sourceAddressPrefix", "0.0.0.0/0"),
    ("closed-to-the-internet", *RULES_AT, 1, "sourceAddressPrefix", "128.0.0.0/1"),
    ("closed-to-the-internet", *RULES_AT, 0, "sourceAddressPrefix", "VirtualNetwork"),
    ("closed-to-the-internet", *RULES_AT, 0, "sourceAddressPrefix", "8.8.8.0/24"),
    ("closed-to-the-internet", *RULES_AT, 0, "destinationPortRanges", ["*"], "8.8.8.0/24"),
    ("last-rule-denies", *RULES_AT, 2, "access", None),
    ("last-rule-denies", *RULES_AT, 2, "priority", 150),
    ("last-rule-denies", *RULES_AT, 2, "protocol", "Tcp"),
    ("last-rule-denies", *RULES_AT, 2, "destinationPortRanges", ["0-1024"]),
    ("last-rule-denies", *RULES_AT, 2, "sourceAddressPrefix", "10.0.0.0/16"),
    ("last-rule-denies", "group", "securityRules", []),
    ("no-public-address", "interface", "ipConfigurations", 0, "publicIPAddress", {"id": "x"}),
    (
        "no-public-address",
        "pool",
        VM_PROFILE,
        "networkProfile",
        "networkInterfaceConfigurations",
        0,
        "ipConfigurations",
        [{"publicIPAddressConfiguration": {"name": "public"}}],
    ),
    ("no-default-outbound", "subnet", "defaultOutboundAccess", True),
    ("no-default-outbound", "subnet", "defaultOutboundAccess", None),
    ("no-shared-keys", "storage", "allowSharedKeyAccess", True),
    ("no-shared-keys", "storage", "allowSharedKeyAccess", None),
    ("no-shared-keys", "storage", "allowBlobPublicAccess", True),
    ("no-shared-keys", "container", "publicAccess", "Blob"),
    ("tls-1.2", "storage", "minimumTlsVersion", "TLS1_0"),
    ("tls-1.2", "storage", "minimumTlsVersion", None),
    ("tls-1.2", "storage", "enableHttpsTrafficOnly", False),
    ("no-registry-admin", "registry", "adminUserEnabled", True),
    ("no-registry-admin", "registry", "anonymousPullEnabled", True),
    ("vault-by-roles", "vault", "properties", "enableRbacAuthorization", False),
    ("vault-by-roles", "vault", "properties", "accessPolicies", [{"objectId": "x"}]),
    ("vault-by-roles", "vault", "properties", "enableSoftDelete", False),
    ("no-password", "head", "osProfile", LINUX, "disablePasswordAuthentication", False),
    ("no-password", "head", "osProfile", LINUX, "ssh", {}),
    ("no-password", "pool", VM_PROFILE, "osProfile", "adminPassword", "hunter2"),
    ("spot-is-deleted", "pool", VM_PROFILE, "evictionPolicy", "Deallocate"),
    ("spot-is-deleted", "pool", VM_PROFILE, "billingProfile", {"maxPrice": -1}),
    ("disks-go-along", "head", "storageProfile", "osDisk", "deleteOption", "Detach"),
    ("disks-go-along", "head", "storageProfile", "dataDisks", [{"lun": 0}]),
    (
        "disks-go-along",
        "pool",
        VM_PROFILE,
        "networkProfile",
        "networkInterfaceConfigurations",
        0,
        "deleteOption",
        None,
    ),
    ("images-by-digest", "head", "osProfile", "customData", cloud_init(":latest")),
    ("images-by-digest", "pool", VM_PROFILE, "osProfile", "customData", cloud_init("@sha256:abc")),
    ("owner-and-expiry", "pool", "tags", "savanna-expires", "never"),
    ("owner-and-expiry", "head", "tags", "savanna-expires", None),
    ("owner-and-expiry", "storage", "tags", "savanna-owner", None),
    ("owner-and-expiry", "registry", "tags", None),
    ("narrow-roles", "role", "permissions", 0, "actions", ["Microsoft.Compute/*"]),
    (
        "narrow-roles",
        "role",
        "permissions",
        0,
        "actions",
        ["Microsoft.Authorization/roleAssignments/write"],
    ),
    *(
        ("narrow-roles", "assignment", "roleDefinitionId", f"/x/roleDefinitions/{guid}")
        for guid in (
            "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
            "B24988AC-6180-42a0-ab88-20f7382dd24c",
            "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        )
    ),
]


@pytest.mark.parametrize("planted", PLANTED, ids=lambda p: "-".join(map(str, p))[:70])
def test_a_planted_violation_is_caught_by_its_rule_alone(planted):
    expected, name, *path = planted
    source = path.pop() if isinstance(path[-2], list) else None
    type_, inputs = broken(name, *path[:-1], to=path[-1])
    if source:
        inputs["securityRules"][0]["sourceAddressPrefix"] = source
    found = violations(type_, inputs, OPTIONS, name)
    assert {violation.rule for violation in found} == {expected}
    assert all(violation.message and violation.resource == name for violation in found)


def test_a_capacity_that_deployments_reset_is_caught():
    type_, inputs = GOOD["pool"]
    found = violations(type_, inputs, SimpleNamespace(ignore_changes=[]))
    assert [violation.rule for violation in found] == ["capacity-is-not-ours"]


def test_every_rule_has_a_planted_violation():
    tested = {planted[0] for planted in PLANTED} | {"capacity-is-not-ours"}
    assert tested == {rule.name for rule in RULES}


def test_a_separate_security_rule_is_checked_too():
    open_ = rule(100, ["6379"], "*")
    found = violations("azure-native:network:SecurityRule", open_, OPTIONS)
    assert [violation.rule for violation in found] == ["closed-to-the-internet"]


def test_a_dev_stack_may_name_images_by_tag():
    type_, inputs = broken("head", "osProfile", "customData", to=cloud_init(":1.0"))
    inputs["tags"] = {**TAGS, "savanna-stack": "dev"}
    assert violations(type_, inputs, OPTIONS) == []


def test_other_spellings_of_a_type_are_the_same_type_and_other_providers_are_left_alone():
    _, inputs = broken("storage", "allowSharedKeyAccess", to=True)
    assert violations("azure-native:storage/v20240101:StorageAccount", inputs, OPTIONS)
    assert not violations("aws:storage:StorageAccount", inputs, OPTIONS)
    assert not violations("savanna:infra:Pool", inputs, OPTIONS)


def as_pulumi_asks(type_: str, inputs: dict, ignore_changes: list[str]) -> ResourceValidationArgs:
    options = PolicyResourceOptions(
        protect=False,
        ignore_changes=ignore_changes,
        delete_before_replace=None,
        aliases=[],
        custom_timeouts=PolicyCustomTimeouts(0, 0, 0),
        additional_secret_outputs=[],
    )
    return ResourceValidationArgs(
        resource_type=type_, props=inputs, urn="urn:x", name="it", opts=options, provider=None
    )


@pytest.mark.parametrize("name", ["storage", "pool", "group"])
def test_the_pack_runs_the_same_functions(name):
    type_, inputs = GOOD[name]
    bad = {**inputs, "tags": {}, "allowSharedKeyAccess": True, "securityRules": []}
    for given, ignored in ((inputs, ["sku.capacity"]), (bad, [])):
        said: list[str] = []
        for policy in policies():
            policy.validate(
                as_pulumi_asks(type_, given, ignored), lambda text, _urn=None: said.append(text)
            )
        offline = violations(type_, given, SimpleNamespace(ignore_changes=ignored), "it")
        assert said == [f"it: {violation.message}" for violation in offline]
    assert said
