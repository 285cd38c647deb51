"""The one permission over machines that nodes need: to deallocate themselves."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization

from infra.components.group import Group
from infra.components.names import guid


@dataclass(frozen=True)
class StopRoleArgs:
    """Valid only in one resource group."""

    group: Group


class StopRole(pulumi.ComponentResource):
    """A custom role, because a machine that is shut down but not deallocated is still billed.

    Every built-in role allows more: at least also to delete machines and run commands.
    """

    id: pulumi.Output[str]

    def __init__(
        self, name: str, args: StopRoleArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:StopRole", name, None, opts)
        group_id, prefix = args.group.id, args.group.place.prefix
        role = authorization.RoleDefinition(
            f"{name}-definition",
            role_definition_id=group_id.apply(lambda id_: guid("stop-role", id_, prefix)),
            # Unique in the tenant, which may have many subscriptions.
            role_name=f"savanna node stop ({prefix}, {args.group.subscription[:8]})",
            role_type="CustomRole",
            description="Lets nodes of a Savanna cluster deallocate themselves.",
            scope=group_id,
            assignable_scopes=[group_id],
            permissions=[
                authorization.PermissionArgs(
                    actions=[
                        "Microsoft.Compute/virtualMachines/read",
                        "Microsoft.Compute/virtualMachines/deallocate/action",
                    ],
                    not_actions=[],
                )
            ],
            opts=pulumi.ResourceOptions(parent=self),
        )
        self.id = role.id
        self.register_outputs({"id": self.id})
