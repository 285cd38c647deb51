"""Azure's built-in roles that we assign, and how a role is assigned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization

from infra.components.names import guid

# Role definitions have the same id in every tenant
# (learn.microsoft.com/azure/role-based-access-control/built-in-roles).
BUILT_IN: Mapping[str, str] = {
    "AcrPull": "7f951dda-4ed3-4680-a7ca-43fe172d538d",
    "AcrPush": "8311e382-0749-4cb8-b61a-304f252e45ec",
    "Storage Blob Data Contributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "Key Vault Secrets User": "4633458b-17de-408a-b874-0445c86b69e6",
}


@dataclass(frozen=True)
class Grant:
    """One thing that an identity may do, and where."""

    name: str  # of the assignment, kebab-case
    role: pulumi.Input[str]  # ARM id of the role definition
    scope: pulumi.Input[str]  # ARM id of what it applies to


def built_in(name: str, subscription: str) -> str:
    """The ARM id of a built-in role; `KeyError` if it is not in the table."""
    provider = "providers/Microsoft.Authorization/roleDefinitions"
    return f"/subscriptions/{subscription}/{provider}/{BUILT_IN[name]}"


def assign(
    name: str, grant: Grant, principal: pulumi.Input[str], opts: pulumi.ResourceOptions
) -> authorization.RoleAssignment:
    """Grant it to the principal (object id of an identity).

    The assignment's name is derived from role, scope and principal, so that changing one gives
    a new assignment: Azure refuses to change an existing one.
    """
    return authorization.RoleAssignment(
        f"{name}-{grant.name}",
        role_assignment_name=pulumi.Output.all(grant.scope, grant.role, principal).apply(
            lambda parts: guid(*parts)
        ),
        scope=grant.scope,
        role_definition_id=grant.role,
        principal_id=principal,
        # Without the type, Azure looks up the new identity in Entra, which may not have it yet.
        principal_type=authorization.PrincipalType.SERVICE_PRINCIPAL,
        opts=opts,
    )
