"""A worker pool: one scale set with one size and one priority."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import compute

from infra.components import machine
from infra.config import settings as config
from infra.config.os_images import disk_controller

# The oldest version with which Azure creates interfaces for Flexible scale sets.
NETWORK_API_VERSION = "2020-11-01"
# Azure refuses to change these while the set has machines, or at all.
REPLACED = [
    f"virtualMachineProfile.{name}"
    for name in (
        "billingProfile",
        "evictionPolicy",
        "priority",
        "storageProfile.diskControllerType",
    )
]


@dataclass(frozen=True)
class PoolArgs:
    """`pool` determines number and size, `site` the place and identity."""

    settings: config.ClusterSettings
    pool: config.Pool
    site: machine.Site


class Pool(pulumi.ComponentResource):
    """A Flexible scale set: its instances are ordinary machines, removed individually by name."""

    scale_set: pulumi.Output[str]

    def __init__(
        self, name: str, args: PoolArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Pool", name, None, opts)
        pool, site = args.pool, args.site
        data = machine.custom_data(args.settings, pool, site)
        scale_set = compute.VirtualMachineScaleSet(
            f"{name}-set",
            vm_scale_set_name=f"{site.place.prefix}-{pool.name}",
            resource_group_name=site.place.group,
            location=args.site.place.location,
            orchestration_mode=compute.OrchestrationMode.FLEXIBLE,
            platform_fault_domain_count=1,  # spread as far as Azure can
            single_placement_group=False,
            sku=compute.SkuArgs(name=pool.size.name, tier="Standard", capacity=pool.min),
            identity=compute.VirtualMachineScaleSetIdentityArgs(
                type=compute.ResourceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[site.identity.id],
            ),
            virtual_machine_profile=_profile(args, data),
            tags=machine.tags(args.settings, pool, site, data),
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=site.wait_for,
                # The number is set by scaling the pool; another `up` must not reset it.
                ignore_changes=["sku.capacity"],
                replace_on_changes=REPLACED,
                delete_before_replace=True,  # the name stays
                custom_timeouts=pulumi.CustomTimeouts(create="45m", update="45m", delete="45m"),
            ),
        )
        self.scale_set = scale_set.name
        self.register_outputs({"scale_set": self.scale_set})


def _profile(
    args: PoolArgs, data: pulumi.Output[str]
) -> compute.VirtualMachineScaleSetVMProfileArgs:
    pool, site, settings = args.pool, args.site, args.settings
    priorities = compute.VirtualMachinePriorityTypes
    return compute.VirtualMachineScaleSetVMProfileArgs(
        priority=priorities.SPOT if pool.spot else priorities.REGULAR,
        # A deallocated machine would keep its disk and its quota, and Ray would wait for it.
        eviction_policy=compute.VirtualMachineEvictionPolicyTypes.DELETE if pool.spot else None,
        # Left out for -1, Azure's default: sent again with any other change, it is refused while
        # machines run ("Max price change is not allowed").
        billing_profile=compute.BillingProfileArgs(max_price=pool.max_price)
        if pool.max_price >= 0
        else None,
        scheduled_events_profile=None if pool.spot else _notice_of_removal(),
        os_profile=compute.VirtualMachineScaleSetOSProfileArgs(
            computer_name_prefix=f"{pool.name}-",
            admin_username=machine.ADMIN,
            linux_configuration=machine.linux(settings.ssh_public_key),
            custom_data=data,
        ),
        storage_profile=compute.VirtualMachineScaleSetStorageProfileArgs(
            image_reference=machine.image_reference(pool.size),
            disk_controller_type=disk_controller(pool.size),
            os_disk=compute.VirtualMachineScaleSetOSDiskArgs(
                create_option=compute.DiskCreateOptionTypes.FROM_IMAGE,
                delete_option=compute.DiskDeleteOptionTypes.DELETE,
                disk_size_gb=pool.disk_gib,
                managed_disk=compute.VirtualMachineScaleSetManagedDiskParametersArgs(
                    storage_account_type=machine.DISK_TYPE
                ),
            ),
        ),
        network_profile=compute.VirtualMachineScaleSetNetworkProfileArgs(
            network_api_version=NETWORK_API_VERSION,
            network_interface_configurations=[
                compute.VirtualMachineScaleSetNetworkConfigurationArgs(
                    name="worker",
                    primary=True,
                    enable_accelerated_networking=True,  # all sizes of the table have it
                    delete_option=compute.DeleteOptions.DELETE,
                    network_security_group=compute.SubResourceArgs(id=site.security_group),
                    ip_configurations=[
                        compute.VirtualMachineScaleSetIPConfigurationArgs(
                            name="worker",
                            primary=True,
                            subnet=compute.ApiEntityReferenceArgs(id=site.subnet),
                        )
                    ],
                )
            ],
        ),
        diagnostics_profile=machine.boot_diagnostics(),
    )


def _notice_of_removal() -> compute.ScheduledEventsProfileArgs:
    """Notify a machine that is removed by hand in time to drain; Azure offers this only for
    on-demand machines. Evictions of spot machines are announced anyway."""
    return compute.ScheduledEventsProfileArgs(
        terminate_notification_profile=compute.TerminateNotificationProfileArgs(
            enable=True,
            not_before_timeout="PT5M",  # the minimum; a drained machine goes immediately
        )
    )
