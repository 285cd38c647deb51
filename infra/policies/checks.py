"""The checks of all rules except those about the network.

Inputs are azure-native's; an absent input has Azure's default.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

EXPIRE = (
    "compute:VirtualMachine",
    "compute:VirtualMachineScaleSet",
    "network:NatGateway",
    "network:BastionHost",
    "network:PublicIPAddress",
)
"""Resources billed by the hour."""
TAGGED = (
    *EXPIRE,
    "resources:ResourceGroup",
    "network:VirtualNetwork",
    "network:NetworkSecurityGroup",
    "network:NetworkInterface",
    "storage:StorageAccount",
    "containerregistry:Registry",
    "keyvault:Vault",
    "managedidentity:UserAssignedIdentity",
)
TAGS = ("savanna-project", "savanna-stack", "savanna-owner")
EXPIRY_TAG = "savanna-expires"

# Built-in roles by their GUID, which is the same everywhere.
WIDE_ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "User Access Administrator",
    "f58310d9-a9f6-439a-9e8d-f62e7b41a168": "Role Based Access Control Administrator",
    "9980e02c-c2be-4d73-94e8-173b1dc7cf3c": "Virtual Machine Contributor",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
    "00482a5a-887f-4fb3-b363-3b7fe8e74483": "Key Vault Administrator",
}
# "registry.example/path/name", followed by a digest, a tag, or nothing.
IMAGE = re.compile(
    r"(?<![\w./@-])((?:[a-z0-9-]+\.)+[a-z]{2,}(?::\d+)?/[a-z0-9][a-z0-9._/-]*)"
    r"([:@][\w.:-]+)"
)
DIGEST = re.compile("@sha256:[0-9a-f]{64}")


def shared_keys(type_: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    if type_.endswith("Container"):
        public = inputs.get("publicAccess", "None") != "None"
        return ["publicAccess: the container is public; set None"] if public else []
    return [
        f"{key}: must be false"
        for key in ("allowSharedKeyAccess", "allowBlobPublicAccess")
        if inputs.get(key) is not False
    ]


def tls(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    wrong = []
    if inputs.get("minimumTlsVersion") not in ("TLS1_2", "TLS1_3"):
        wrong.append("minimumTlsVersion: must be TLS1_2 or newer")
    if inputs.get("enableHttpsTrafficOnly") is False:
        wrong.append("enableHttpsTrafficOnly: must not be false")
    return wrong


def registry(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    return [
        f"{key}: must not be true"
        for key in ("adminUserEnabled", "anonymousPullEnabled")
        if inputs.get(key)
    ]


def vault(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    properties = inputs.get("properties") or {}
    wrong = []
    if properties.get("enableRbacAuthorization") is not True:
        wrong.append("properties.enableRbacAuthorization: must be true")
    if properties.get("accessPolicies"):
        wrong.append("properties.accessPolicies: use role assignments instead")
    if properties.get("enableSoftDelete") is False:
        wrong.append("properties.enableSoftDelete: must not be false")
    return wrong


def password(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    os = _profile(inputs).get("osProfile") or {}
    linux = os.get("linuxConfiguration") or {}
    wrong = []
    if linux.get("disablePasswordAuthentication") is not True:
        wrong.append("osProfile.linuxConfiguration.disablePasswordAuthentication: must be true")
    if os.get("adminPassword"):
        wrong.append("osProfile.adminPassword: remove it")
    if not (linux.get("ssh") or {}).get("publicKeys"):
        wrong.append("osProfile.linuxConfiguration.ssh.publicKeys: one is needed")
    return wrong


def spot(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    profile = _profile(inputs)
    if profile.get("priority") not in ("Spot", "Low"):
        return []
    wrong = []
    if profile.get("evictionPolicy") != "Delete":
        wrong.append(
            "evictionPolicy: the disk of a spot machine that is only deallocated is still billed; "
            "set Delete"
        )
    if (profile.get("billingProfile") or {}).get("maxPrice", 0) < 0:
        wrong.append(
            "billingProfile.maxPrice: leave out -1, the default: Azure refuses it with any later "
            "change while machines run"
        )
    return wrong


def leftovers(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    profile = _profile(inputs)
    storage = profile.get("storageProfile") or {}
    disks = {"osDisk": storage.get("osDisk") or {}}
    disks |= {f"dataDisks[{i}]": disk for i, disk in enumerate(storage.get("dataDisks") or [])}
    wrong = [
        f"storageProfile.{name}.deleteOption: set Delete"
        for name, disk in disks.items()
        if disk.get("deleteOption") != "Delete"
    ]
    # A machine's own interface is a resource of the stack and is destroyed with it.
    network = profile.get("networkProfile") or {}
    return wrong + [
        f"networkProfile.networkInterfaceConfigurations[{i}].deleteOption: set Delete"
        for i, nic in enumerate(network.get("networkInterfaceConfigurations") or [])
        if nic.get("deleteOption") != "Delete"
    ]


def capacity(_type: str, _inputs: Mapping[str, Any], options: Any) -> list[str]:
    if "sku.capacity" in options.ignore_changes:
        return []
    return ["ignore_changes lacks sku.capacity: the next deployment would stop running workers"]


def digest(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    if is_dev((inputs.get("tags") or {}).get("savanna-stack", "")):
        return []
    images = set(IMAGE.findall(_custom_data(_profile(inputs))))
    return [
        f"image {name}{version}: name it by digest, {name}@sha256:..."
        for name, version in sorted(images)
        if not DIGEST.fullmatch(version)
    ]


def is_dev(stack: str) -> bool:
    """Whether a stack is for development, where images may be named by tag."""
    return stack == "dev" or stack.startswith("dev-")


def roles(type_: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    if type_.endswith("Definition"):
        actions = [
            action
            for permission in inputs.get("permissions") or []
            for key in ("actions", "dataActions")
            for action in permission.get(key) or []
        ]
        wrong = [
            f"permissions: {action} is a whole class of actions"
            for action in actions
            if "*" in action
        ]
        return wrong + [
            f"permissions: {action} grants permissions to others"
            for action in actions
            if action.lower().startswith("microsoft.authorization/")
            and "*" not in action
            and not action.lower().endswith("/read")
        ]
    role = WIDE_ROLES.get(str(inputs.get("roleDefinitionId", "")).rsplit("/", 1)[-1].lower())
    if role:
        return [f"roleDefinitionId: {role} is too wide; use a role for exactly what is needed"]
    return []


def tags(type_: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    if type_ not in TAGGED:
        return []
    given = inputs.get("tags") or {}
    wrong = [f"tags: {tag} is missing" for tag in TAGS if not given.get(tag)]
    if type_ in EXPIRE:
        expires = str(given.get(EXPIRY_TAG) or "")
        try:
            datetime.fromisoformat(expires)
        except ValueError:
            wrong.append(f"tags: {EXPIRY_TAG} must be a time, such as 2026-12-01T18:00Z")
    return wrong


def _profile(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The profile of a machine; a scale set has it one level down."""
    return inputs.get("virtualMachineProfile") or inputs


def _custom_data(profile: Mapping[str, Any]) -> str:
    data = (profile.get("osProfile") or {}).get("customData")
    if not isinstance(data, str):
        return ""
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return data
