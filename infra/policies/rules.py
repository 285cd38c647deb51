"""The rules, each a function of one resource's type, inputs and options.

`make plan` and the tests run them offline on what the programs declare; `pulumi up` runs the same
functions as a policy pack (`pack.py`). Inputs have azure-native's names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from infra.policies import checks, network

Inputs = Mapping[str, Any]


class Options(Protocol):
    """The options that the rules need; both Pulumi's and the recording engine's fit."""

    @property
    def ignore_changes(self) -> Iterable[str]: ...


Check = Callable[[str, Inputs, Options], list[str]]


@dataclass(frozen=True)
class Rule:
    """One rule: what it demands, of which types (default: all), and how it is checked."""

    name: str  # kebab-case; used in reports and by Pulumi
    demands: str  # one sentence
    check: Check  # returns one line per problem
    types: tuple[str, ...] = ()  # "compute:VirtualMachine", without "azure-native:"

    def broken_by(self, type_: str, inputs: Inputs, options: Options) -> list[str]:
        """What is wrong with the resource; also empty if the rule does not apply to its type."""
        short = short_type(type_)
        if not short or (self.types and short not in self.types):
            return []
        return self.check(short, inputs, options)


@dataclass(frozen=True)
class Violation:
    """A rule that a resource breaks."""

    rule: str
    resource: str
    message: str


def short_type(type_: str) -> str:
    """`compute:VirtualMachine` from any spelling of azure-native; empty for other providers."""
    parts = type_.split(":")
    if parts[0] != "azure-native" or len(parts) < 3:
        return ""
    # azure-native also has "azure-native:compute/v20241101:VirtualMachine".
    return f"{parts[1].split('/')[0]}:{parts[-1]}"


MACHINES = ("compute:VirtualMachine", "compute:VirtualMachineScaleSet")
RULES: tuple[Rule, ...] = (
    Rule(
        "closed-to-the-internet",
        "No rule admits the Internet, and Ray's ports are open only to private ranges.",
        network.security_rules,
        ("network:NetworkSecurityGroup", "network:SecurityRule"),
    ),
    Rule(
        "last-rule-denies",
        "A security group ends with a rule that denies the rest, including Azure's defaults.",
        network.final_deny,
        ("network:NetworkSecurityGroup",),
    ),
    Rule(
        "no-public-address",
        "Only the NAT gateway and Bastion have public addresses.",
        network.public_address,
    ),
    Rule(
        "no-default-outbound",
        "Machines reach the Internet only through the NAT gateway.",
        network.default_outbound,
        ("network:Subnet", "network:VirtualNetwork"),
    ),
    Rule(
        "no-shared-keys",
        "Only identities open storage: no account keys, nothing public.",
        checks.shared_keys,
        ("storage:StorageAccount", "storage:BlobContainer"),
    ),
    Rule(
        "tls-1.2",
        "Storage requires HTTPS with TLS 1.2 or newer.",
        checks.tls,
        ("storage:StorageAccount",),
    ),
    Rule(
        "no-registry-admin",
        "The registry has no admin user, and nobody pulls without an identity.",
        checks.registry,
        ("containerregistry:Registry",),
    ),
    Rule(
        "vault-by-roles",
        "Only role assignments open the key vault, and deleted content can be restored.",
        checks.vault,
        ("keyvault:Vault",),
    ),
    Rule("no-password", "Machines accept logins only by SSH key.", checks.password, MACHINES),
    Rule(
        "spot-is-deleted",
        "An evicted spot machine is deleted; its price limit does not block later changes.",
        checks.spot,
        MACHINES,
    ),
    Rule(
        "disks-go-along",
        "Disks and network interfaces are deleted with their machine.",
        checks.leftovers,
        MACHINES,
    ),
    Rule(
        "capacity-is-not-ours",
        "A deployment keeps the number of workers, given the refresh that Pulumi.yaml asks for.",
        checks.capacity,
        ("compute:VirtualMachineScaleSet",),
    ),
    Rule(
        "images-by-digest",
        "Nodes run images named by digest, except in stacks named dev.",
        checks.digest,
        MACHINES,
    ),
    Rule(
        "narrow-roles",
        "Nobody gets Owner, Contributor or permission to grant permissions.",
        checks.roles,
        ("authorization:RoleAssignment", "authorization:RoleDefinition"),
    ),
    Rule(
        "owner-and-expiry",
        "Everything names its owner; resources billed by the hour also have an expiry.",
        checks.tags,
    ),
)


def violations(type_: str, inputs: Inputs, options: Options, name: str = "") -> list[Violation]:
    """Everything that is wrong with one resource."""
    return [
        Violation(rule.name, name, message)
        for rule in RULES
        for message in rule.broken_by(type_, inputs, options)
    ]
