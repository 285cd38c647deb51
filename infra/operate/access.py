"""Lets whoever builds a cluster read its token; without it, nobody could use the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.operate.stack import Stack
from infra.operate.tools import OperateError, az, say

ROLE = "Key Vault Secrets User"
ENOUGH = {ROLE, "Key Vault Secrets Officer", "Key Vault Administrator"}


def who(user: Mapping[str, Any]) -> tuple[str, str]:
    """Object id and type of the `user` in `az account show`."""
    if user.get("type") == "servicePrincipal":
        return az("ad", "sp", "show", "--id", user["name"])["id"], "ServicePrincipal"
    return az("ad", "signed-in-user", "show")["id"], "User"


def roles_at(scope: str, principal: str) -> set[str]:
    """Names of the roles that `principal` has there, including inherited ones."""
    found = az(
        "role",
        "assignment",
        "list",
        "--assignee",
        principal,
        "--scope",
        scope,
        "--include-inherited",
        "--include-groups",
    )
    return {one["roleDefinitionName"] for one in found or []}


def allow_me_tokens(stack: Stack) -> None:
    """Let the logged-in user read secrets in the foundation's vault."""
    vault = str(stack.foundation_outputs.get("vault_id", ""))
    if not vault:
        raise OperateError("the foundation has no key vault; run make foundation to create one")
    me, kind = who(az("account", "show")["user"])
    if ENOUGH & roles_at(vault, me):
        return
    say(f"giving you the role {ROLE} on the key vault, so that you can read clusters' tokens")
    az(
        "role",
        "assignment",
        "create",
        "--role",
        ROLE,
        "--assignee-object-id",
        me,
        "--assignee-principal-type",
        kind,
        "--scope",
        vault,
    )
