"""The nodes' network: subnets, firewall rules, outbound access."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

import pulumi
from pulumi_azure_native import network

from infra.components.place import Place
from infra.config import ports, settings


@dataclass(frozen=True)
class NetworkArgs:
    """`plan` decides between our own network and an existing subnet."""

    place: Place
    plan: settings.Network


class Network(pulumi.ComponentResource):
    """Security groups; also virtual network, subnets and NAT gateway unless a subnet exists."""

    subnets: Mapping[ports.Role, pulumi.Output[str]]  # role -> ARM id
    security_groups: Mapping[ports.Role, pulumi.Output[str]]  # role -> ARM id
    virtual_network: pulumi.Output[str]  # its name; empty with an existing subnet
    changes: list[pulumi.Resource]  # to the virtual network, which allows one at a time

    def __init__(
        self, name: str, args: NetworkArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Network", name, None, opts)
        self._name = name
        self._args = args
        self.changes = []
        self.security_groups = {
            "head": self._security_group("head"),
            "worker": self._security_group("worker"),
        }
        existing = args.plan.existing_subnet_id
        if existing:
            self.virtual_network = pulumi.Output.from_input("")
            subnet = pulumi.Output.from_input(existing)
            self.subnets = {"head": subnet, "worker": subnet}
        else:
            self.virtual_network = self._virtual_network()
            self.subnets = self._subnets(self.virtual_network, self._nat_gateway())
        self.register_outputs({"subnets": self.subnets, "security_groups": self.security_groups})

    def _child(self, *after: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(after))

    def _security_group(self, role: ports.Role) -> pulumi.Output[str]:
        group = network.NetworkSecurityGroup(
            f"{self._name}-{role}-rules",
            network_security_group_name=f"{self._args.place.prefix}-{role}",
            resource_group_name=self._args.place.group,
            location=self._args.place.location,
            security_rules=[
                network.SecurityRuleArgs(
                    name=rule.name,
                    description=rule.description,
                    priority=rule.priority,
                    direction=rule.direction,
                    access=rule.access,
                    protocol=rule.protocol,
                    source_address_prefix=rule.source,
                    source_port_range=rule.source_ports,
                    destination_address_prefix=rule.destination,
                    **_ports(rule.destination_ports),
                )
                for rule in ports.security_rules(self._args.plan, role)
            ],
            tags=self._args.place.tags,
            opts=self._child(),
        )
        return group.id

    def _virtual_network(self) -> pulumi.Output[str]:
        # No inline subnets: inline and separate subnets would remove each other.
        return network.VirtualNetwork(
            f"{self._name}-range",
            virtual_network_name=f"{self._args.place.prefix}-network",
            resource_group_name=self._args.place.group,
            location=self._args.place.location,
            address_space=network.AddressSpaceArgs(
                address_prefixes=[str(self._args.plan.address_space)]
            ),
            tags=self._args.place.tags,
            opts=self._child(),
        ).name

    def _nat_gateway(self) -> pulumi.Output[str]:
        # Nodes have no public address, not even an implicit one: this is their only way out.
        address = network.PublicIPAddress(
            f"{self._name}-nat-address",
            public_ip_address_name=f"{self._args.place.prefix}-nat",
            resource_group_name=self._args.place.group,
            location=self._args.place.location,
            sku=network.PublicIPAddressSkuArgs(name=network.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            tags=self._args.place.tags,
            opts=self._child(),
        )
        return network.NatGateway(
            f"{self._name}-nat",
            nat_gateway_name=f"{self._args.place.prefix}-nat",
            resource_group_name=self._args.place.group,
            location=self._args.place.location,
            sku=network.NatGatewaySkuArgs(name=network.NatGatewaySkuName.STANDARD),
            public_ip_addresses=[network.SubResourceArgs(id=address.id)],
            tags=self._args.place.tags,
            opts=self._child(),
        ).id

    def _subnets(
        self, virtual_network: pulumi.Output[str], nat: pulumi.Output[str]
    ) -> Mapping[ports.Role, pulumi.Output[str]]:
        ranges: dict[ports.Role, IPv4Network] = {
            "head": self._args.plan.head_subnet,
            "worker": self._args.plan.worker_subnet,
        }
        made: dict[ports.Role, network.Subnet] = {}
        for role, range_ in ranges.items():
            made[role] = network.Subnet(
                f"{self._name}-{role}",
                subnet_name=role,
                virtual_network_name=virtual_network,
                resource_group_name=self._args.place.group,
                address_prefix=str(range_),
                default_outbound_access=False,
                nat_gateway=network.SubResourceArgs(id=nat),
                network_security_group=network.NetworkSecurityGroupArgs(
                    id=self.security_groups[role]
                ),
                opts=self._child(*self.changes),
            )
            self.changes.append(made[role])
        return {role: subnet.id for role, subnet in made.items()}


def _ports(ranges: tuple[str, ...]) -> dict[str, Any]:
    # "*" may not be in a list.
    if len(ranges) == 1:
        return {"destination_port_range": ranges[0]}
    return {"destination_port_ranges": list(ranges)}
