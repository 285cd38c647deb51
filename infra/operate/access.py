"""Whoever builds a cluster may read its token: without that, nobody could use it."""

from __future__ import annotations

from infra.operate.stack import Stack
from infra.operate.tools import OperateError, az, say

ROLE = "Key Vault Secrets User"
ENOUGH = {ROLE, "Key Vault Secrets Officer", "Key Vault Administrator"}


def allow_me_tokens(stack: Stack) -> None:
    """Give the one who is logged in the right to read secrets of the foundation's vault."""
    vault = str(stack.foundation_outputs.get("vault_id", ""))
    if not vault:
        raise OperateError("the foundation has no key vault; make foundation makes one")
    user = az("account", "show")["user"]
    if user.get("type") == "servicePrincipal":
        me, kind = az("ad", "sp", "show", "--id", user["name"])["id"], "ServicePrincipal"
    else:
        me, kind = az("ad", "signed-in-user", "show")["id"], "User"
    has = az("role", "assignment", "list", "--assignee", me, "--scope", vault,
             "--include-inherited") or []  # fmt: skip
    if ENOUGH & {one["roleDefinitionName"] for one in has}:
        return
    say(f"giving {user['name']} the role {ROLE} on the key vault, to read clusters' tokens")
    az("role", "assignment", "create", "--role", ROLE, "--assignee-object-id", me,
       "--assignee-principal-type", kind, "--scope", vault)  # fmt: skip
