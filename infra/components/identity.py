"""Who a node is: one managed identity a role, with no more rights than the role needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import managedidentity

from infra.components.place import Place
from infra.components.roles import Grant, assign


@dataclass(frozen=True)
class IdentityArgs:
    """Whatever the identity may do, any job on the node may do."""

    place: Place
    role: str  # "head" or "worker"
    grants: Sequence[Grant]


class NodeIdentity(pulumi.ComponentResource):
    """A user-assigned identity and its role assignments, which machines must wait for."""

    id: pulumi.Output[str]
    client_id: pulumi.Output[str]
    assignments: Sequence[pulumi.Resource]

    def __init__(
        self, name: str, args: IdentityArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:NodeIdentity", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-user",
            resource_name_=f"{args.place.prefix}-{args.role}",
            resource_group_name=args.place.group,
            location=args.place.location,
            tags=args.place.tags,
            opts=child,
        )
        self.id, self.client_id = identity.id, identity.client_id
        self.assignments = [assign(name, g, identity.principal_id, child) for g in args.grants]
        self.register_outputs({"client_id": self.client_id})
