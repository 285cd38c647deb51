"""The head node: one on-demand machine at a fixed private address."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import compute, network

from infra.components import machine
from infra.config.os_images import disk_controller
from infra.config.settings import ClusterSettings

REPLACED = [
    "osProfile.adminUsername",
    "osProfile.computerName",
    "osProfile.customData",
    "osProfile.linuxConfiguration.disablePasswordAuthentication",
    "osProfile.linuxConfiguration.ssh",
    "storageProfile.diskControllerType",
    "storageProfile.imageReference",
]


@dataclass(frozen=True)
class HeadArgs:
    """`settings.head` determines the size, `site` the place and identity."""

    settings: ClusterSettings
    site: machine.Site


class Head(pulumi.ComponentResource):
    """A virtual machine and its network interface. With or without a GPU, by its size."""

    vm_name: pulumi.Output[str]
    vm_id: pulumi.Output[str]  # ARM id, the same for a machine that replaces this one
    unique_id: pulumi.Output[str]  # Azure's GUID of this very machine

    def __init__(
        self, name: str, args: HeadArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Head", name, None, opts)
        settings, site, head = args.settings, args.site, args.settings.head
        interface = network.NetworkInterface(
            f"{name}-interface",
            network_interface_name=f"{site.place.prefix}-head",
            resource_group_name=site.place.group,
            location=site.place.location,
            network_security_group=network.NetworkSecurityGroupArgs(id=site.security_group),
            enable_accelerated_networking=True,  # all sizes of the table have it
            # No classes here: SubnetArgs would add settings to a subnet that is only referenced.
            ip_configurations=[
                {
                    "name": "head",
                    "primary": True,
                    "subnet": {"id": site.subnet},
                    "private_ip_allocation_method": network.IPAllocationMethod.STATIC,
                    "private_ip_address": str(settings.network.head_address),
                }
            ],
            tags=site.place.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )
        data = machine.custom_data(settings, head, site)
        vm = compute.VirtualMachine(
            f"{name}-machine",
            vm_name=f"{site.place.prefix}-head",
            resource_group_name=site.place.group,
            location=site.place.location,
            identity=compute.VirtualMachineIdentityArgs(
                type=compute.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[site.identity.id],
            ),
            priority=compute.VirtualMachinePriorityTypes.REGULAR,
            hardware_profile=compute.HardwareProfileArgs(vm_size=head.size.name),
            os_profile=compute.OSProfileArgs(
                computer_name="head",
                admin_username=machine.ADMIN,
                linux_configuration=machine.linux(settings.ssh_public_key),
                custom_data=data,
            ),
            storage_profile=compute.StorageProfileArgs(
                image_reference=machine.image_reference(head.size),
                disk_controller_type=disk_controller(head.size),
                os_disk=compute.OSDiskArgs(
                    create_option=compute.DiskCreateOptionTypes.FROM_IMAGE,
                    delete_option=compute.DiskDeleteOptionTypes.DELETE,
                    disk_size_gb=head.disk_gib,
                    managed_disk=compute.ManagedDiskParametersArgs(
                        storage_account_type=machine.DISK_TYPE
                    ),
                ),
            ),
            network_profile=compute.NetworkProfileArgs(
                network_interfaces=[
                    compute.NetworkInterfaceReferenceArgs(
                        id=interface.id,
                        primary=True,
                        # The interface, which holds the address, is a separate resource: a new
                        # machine takes it over.
                        delete_option=compute.DeleteOptions.DETACH,
                    )
                ]
            ),
            diagnostics_profile=machine.boot_diagnostics(),
            tags=machine.tags(settings, head, site, data),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=site.wait_for,
                # Azure refuses to change these on an existing machine; the provider would try.
                replace_on_changes=REPLACED,
                # An Azure Policy may set these; they are no reason to touch a head.
                ignore_changes=["osProfile.linuxConfiguration.patchSettings"],
                delete_before_replace=True,  # two machines cannot have one address
                custom_timeouts=pulumi.CustomTimeouts(create="30m", update="30m", delete="30m"),
            ),
        )
        self.vm_name, self.vm_id, self.unique_id = vm.name, vm.id, vm.vm_id
        self.register_outputs({"vm_name": self.vm_name, "vm_id": self.vm_id})
