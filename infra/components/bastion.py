"""The optional access from the Internet: Azure Bastion, which authenticates users."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import network

from infra.components.network import Network
from infra.components.place import Place
from infra.config import settings


@dataclass(frozen=True)
class BastionArgs:
    """Bastion needs its own subnet, /26 or larger."""

    place: Place
    plan: settings.Network  # with a `bastion_subnet`
    network: Network


class Bastion(pulumi.ComponentResource):
    """Subnet, address and host. Standard is the smallest tier with tunnels for SSH clients."""

    name: pulumi.Output[str]

    def __init__(
        self, name: str, args: BastionArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Bastion", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        subnet = network.Subnet(
            f"{name}-subnet",
            subnet_name="AzureBastionSubnet",  # Azure requires this name
            virtual_network_name=args.network.virtual_network,
            resource_group_name=args.place.group,
            address_prefix=str(args.plan.bastion_subnet),
            opts=pulumi.ResourceOptions(parent=self, depends_on=args.network.changes),
        )
        address = network.PublicIPAddress(
            f"{name}-address",
            public_ip_address_name=f"{args.place.prefix}-bastion",
            resource_group_name=args.place.group,
            location=args.place.location,
            sku=network.PublicIPAddressSkuArgs(name=network.PublicIPAddressSkuName.STANDARD),
            public_ip_allocation_method=network.IPAllocationMethod.STATIC,
            tags=args.place.tags,
            opts=child,
        )
        host = network.BastionHost(
            f"{name}-host",
            bastion_host_name=f"{args.place.prefix}-bastion",
            resource_group_name=args.place.group,
            location=args.place.location,
            sku=network.SkuArgs(name=network.BastionHostSkuName.STANDARD),
            enable_tunneling=True,
            ip_configurations=[
                network.BastionHostIPConfigurationArgs(
                    name="bastion",
                    subnet=network.SubResourceArgs(id=subnet.id),
                    public_ip_address=network.SubResourceArgs(id=address.id),
                )
            ],
            tags=args.place.tags,
            # This takes Azure ten minutes or more.
            opts=pulumi.ResourceOptions(
                parent=self,
                custom_timeouts=pulumi.CustomTimeouts(create="40m", update="40m", delete="40m"),
            ),
        )
        self.name = host.name
        self.register_outputs({"name": self.name})
