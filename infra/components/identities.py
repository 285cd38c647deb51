"""The nodes' identities: one per role, with no more permissions than the role needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import managedidentity

from infra.components.foundation import Foundation
from infra.components.group import Group
from infra.components.place import Place
from infra.components.ray_token import RayToken
from infra.components.roles import Grant, assign, built_in
from infra.components.stop_role import StopRole, StopRoleArgs
from infra.config.ports import Role


@dataclass(frozen=True)
class IdentityArgs:
    """Any job on the node may do whatever the identity may do."""

    place: Place
    role: Role
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


@dataclass(frozen=True)
class IdentitiesArgs:
    """What nodes use: registry and results of `foundation`, the token, their own group."""

    group: Group
    foundation: Foundation
    token: RayToken


class Identities(pulumi.ComponentResource):
    """The identities of head and workers, and the custom role that both have."""

    of: Mapping[Role, NodeIdentity]

    def __init__(
        self, name: str, args: IdentitiesArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Identities", name, None, opts)
        place, subscription = args.group.place, args.group.subscription
        child = pulumi.ResourceOptions(parent=self)
        stop = StopRole("stop-role", StopRoleArgs(args.group), child)
        # Workers write results too: their logs, and what a trial on them saves.
        write = built_in("Storage Blob Data Contributor", subscription)
        read = built_in("Key Vault Secrets User", subscription)
        grants = [
            Grant("pull", built_in("AcrPull", subscription), args.foundation.registry_id),
            Grant("results", write, args.foundation.results_container_id),
            Grant("token", read, args.token.id),
            Grant("stop", stop.id, args.group.id),
        ]
        roles: tuple[Role, ...] = ("head", "worker")
        self.of = {
            role: NodeIdentity(f"{role}-identity", IdentityArgs(place, role, grants), child)
            for role in roles
        }
        self.register_outputs({})
