"""What matters about a resource, in a few words: sizes, rules, permissions of an identity."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.components.roles import BUILT_IN
from infra.config.settings import ClusterSettings
from infra.config.sizes import VmSize
from infra.plan.cost import pool_of
from infra.plan.engine import SECRET, Resource, Run

ROLES = {guid: name for name, guid in BUILT_IN.items()}


def details(resource: Resource, run: Run, settings: ClusterSettings) -> list[str]:
    """Lines to show with a resource; none if its name says it all."""
    inputs = resource.inputs
    lines = _about(resource.type.removeprefix("azure-native:"), resource, run, settings)
    kept = []
    if resource.options.protect:
        kept.append("protected")
    if resource.options.retain_on_delete:
        kept.append("kept when destroyed")
    if resource.options.ignore_changes:
        kept.append(f"never changes {', '.join(resource.options.ignore_changes)}")
    if any(value == SECRET for value in inputs.values()) or resource.secrets:
        kept.append("holds a secret")
    return lines + ([", ".join(kept)] if kept else [])


def _about(kind: str, resource: Resource, run: Run, settings: ClusterSettings) -> list[str]:
    inputs = resource.inputs
    match kind:
        case "network:VirtualNetwork":
            return [" ".join(inputs["addressSpace"]["addressPrefixes"])]
        case "network:Subnet":
            out = "through the NAT gateway" if inputs.get("natGateway") else "none"
            return [f"{inputs['addressPrefix']}, outbound: {out}"]
        case "network:NetworkSecurityGroup":
            return [_rule(rule) for rule in inputs.get("securityRules", [])]
        case "network:BastionHost":
            tunnels = "with tunnels" if inputs.get("enableTunneling") else "without tunnels"
            return [f"{inputs.get('sku', {}).get('name', 'Basic')}, {tunnels}"]
        case "network:NetworkInterface":
            return [
                f"{ip.get('privateIPAddress', 'an address of the subnet')}, no public address"
                for ip in inputs["ipConfigurations"]
            ]
        case "compute:VirtualMachine":
            return [describe(settings.head.size), *_machine(inputs)]
        case "compute:VirtualMachineScaleSet":
            pool = pool_of(resource, settings)
            limit = "the on-demand price" if pool.max_price < 0 else f"${pool.max_price:g} per hour"
            spot = f", spot up to {limit}, deleted when evicted" if pool.spot else ""
            return [
                f"{describe(pool.size)}",
                f"{pool.min} to {pool.max} machines{spot}",
                *_machine(inputs["virtualMachineProfile"]),
            ]
        case "authorization:RoleDefinition":
            return [
                f"allows {action}"
                for permission in inputs["permissions"]
                for action in permission.get("actions", [])
            ]
        case "authorization:RoleAssignment":
            return [f"may: {_role(inputs, run)} on {_short(inputs['scope'])}"]
        case "managedidentity:FederatedIdentityCredential":
            return [f"usable by {inputs['subject']}"]
        case "keyvault:Vault":
            return ["access by role assignments"]
        case "keyvault:Secret":
            return ["value generated once, never shown"]
        case "storage:StorageAccount":
            return [f"{inputs['sku']['name']}, no keys, nothing public"]
        case "containerregistry:Registry":
            return [f"{inputs['sku']['name']}, no admin user"]
        case "consumption:Budget":
            to = {mail for n in inputs["notifications"].values() for mail in n["contactEmails"]}
            return [f"${inputs['amount']} per month, alerts {', '.join(sorted(to))}; stops nothing"]
    return []


def describe(size: VmSize) -> str:
    """ "Standard_NC8as_T4_v3: 8 vCPUs, 56 GiB, 1 T4 16 GB" """
    gpu = f", {size.gpus} {size.gpu}" if size.gpus else ""
    return f"{size.name}: {size.vcpus} vCPUs, {size.memory_gib:g} GiB{gpu}"


def _machine(profile: Mapping[str, Any]) -> list[str]:
    storage = profile["storageProfile"]
    image, disk = storage["imageReference"], storage["osDisk"]
    kind = disk.get("managedDisk", {}).get("storageAccountType", "")
    return [
        f"{image['publisher']}:{image['offer']}:{image['sku']}:{image['version']}, "
        f"{storage.get('diskControllerType', 'SCSI')}, {disk['diskSizeGB']} GiB {kind}"
    ]


def _rule(rule: Mapping[str, Any]) -> str:
    ports = rule.get("destinationPortRange") or ",".join(rule.get("destinationPortRanges", []))
    sources = rule.get("sourceAddressPrefix") or ",".join(rule.get("sourceAddressPrefixes", []))
    to = rule.get("destinationAddressPrefix", "*")
    return (
        f"{rule['priority']:>4} {rule['access']:5} {rule['protocol']:3} {sources} -> {to} "
        f"{ports if ports != '*' else 'all ports'}"
    )


def _role(inputs: Mapping[str, Any], run: Run) -> str:
    wanted = str(inputs["roleDefinitionId"])
    guid = wanted.rsplit("/", 1)[-1]
    if guid in ROLES:
        return ROLES[guid]
    for role in run.of_type("azure-native:authorization:RoleDefinition"):
        if role.inputs.get("roleDefinitionId") == guid:
            return str(role.inputs.get("roleName", guid))
    return guid


def _short(scope: str) -> str:
    """The last two parts of an ARM id: type and name."""
    return "/".join(scope.split("/")[-2:])
