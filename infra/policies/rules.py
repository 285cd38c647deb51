"""The rules, each a function of one resource's type, inputs and options.

`make plan` and the tests run them offline over what the programs declare; `pulumi up` runs the same
functions as a policy pack (`pack.py`). Inputs are named as azure-native names them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from infra.policies import checks, network

Inputs = Mapping[str, Any]


class Options(Protocol):
    """What the rules ask of a resource's options; Pulumi's and the recording engine's both fit."""

    @property
    def ignore_changes(self) -> Iterable[str]: ...


Check = Callable[[str, Inputs, Options], list[str]]


@dataclass(frozen=True)
class Rule:
    """One rule: what it demands, of which types (none named: of all), and how it is checked."""

    name: str  # kebab-case; what a report and Pulumi call it
    demands: str  # one sentence
    check: Check  # what is wrong, one line each; nothing where nothing is
    types: tuple[str, ...] = ()  # "compute:VirtualMachine", without "azure-native:"

    def broken_by(self, type_: str, inputs: Inputs, options: Options) -> list[str]:
        """What is wrong with the resource; empty also where the rule is not about its type."""
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
    """`compute:VirtualMachine` of any spelling of azure-native's; empty for other providers."""
    parts = type_.split(":")
    if parts[0] != "azure-native" or len(parts) < 3:
        return ""
    # azure-native also has "azure-native:compute/v20241101:VirtualMachine".
    return f"{parts[1].split('/')[0]}:{parts[-1]}"


MACHINES = ("compute:VirtualMachine", "compute:VirtualMachineScaleSet")
RULES: tuple[Rule, ...] = (
    Rule(
        "closed-to-the-internet",
        "No rule lets the Internet in, and Ray's ports are open to private ranges alone.",
        network.security_rules,
        ("network:NetworkSecurityGroup", "network:SecurityRule"),
    ),
    Rule(
        "last-rule-denies",
        "A security group ends with a rule that denies all the rest, Azure's own defaults too.",
        network.final_deny,
        ("network:NetworkSecurityGroup",),
    ),
    Rule(
        "no-public-address",
        "Public addresses are for the NAT gateway and Bastion only.",
        network.public_address,
    ),
    Rule(
        "no-default-outbound",
        "Machines reach the Internet through the NAT gateway only.",
        network.default_outbound,
        ("network:Subnet", "network:VirtualNetwork"),
    ),
    Rule(
        "no-shared-keys",
        "Storage is opened by identities alone: no account keys, nothing public.",
        checks.shared_keys,
        ("storage:StorageAccount", "storage:BlobContainer"),
    ),
    Rule(
        "tls-1.2",
        "Storage speaks HTTPS, and TLS 1.2 at least.",
        checks.tls,
        ("storage:StorageAccount",),
    ),
    Rule(
        "no-registry-admin",
        "The registry has no admin user and nobody pulls without an identity.",
        checks.registry,
        ("containerregistry:Registry",),
    ),
    Rule(
        "vault-by-roles",
        "The key vault is opened by role assignments, and what is deleted can be restored.",
        checks.vault,
        ("keyvault:Vault",),
    ),
    Rule("no-password", "Machines are logged in to by SSH key only.", checks.password, MACHINES),
    Rule(
        "spot-is-deleted",
        "An evicted spot machine is deleted, and it has a price limit.",
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
        "A deployment never resets the number of workers.",
        checks.capacity,
        ("compute:VirtualMachineScaleSet",),
    ),
    Rule(
        "images-by-digest",
        "Nodes run an image named by digest, but in stacks named dev.",
        checks.digest,
        MACHINES,
    ),
    Rule(
        "narrow-roles",
        "Nobody is given Owner, Contributor or the right to hand out rights.",
        checks.roles,
        ("authorization:RoleAssignment", "authorization:RoleDefinition"),
    ),
    Rule(
        "owner-and-expiry",
        "Everything says whose it is, and what costs by the hour when it may go.",
        checks.tags,
    ),
)


def violations(type_: str, inputs: Inputs, options: Options, name: str = "") -> list[Violation]:
    """All that is wrong with one resource."""
    return [
        Violation(rule.name, name, message)
        for rule in RULES
        for message in rule.broken_by(type_, inputs, options)
    ]
