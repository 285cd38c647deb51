"""Lets whoever builds a cluster use it: read its token, and the results that its jobs write."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

from infra.operate.stack import Stack
from infra.operate.tools import CommandError, OperateError, az, say

TOKEN_ROLE = "Key Vault Secrets User"
RESULTS_ROLE = "Storage Blob Data Reader"
ENOUGH = {
    TOKEN_ROLE: {TOKEN_ROLE, "Key Vault Secrets Officer", "Key Vault Administrator"},
    RESULTS_ROLE: {RESULTS_ROLE, "Storage Blob Data Contributor", "Storage Blob Data Owner"},
}
"""Role -> roles that include it. Owner does not: it grants permissions on data, and has none."""
WAIT, POLL = 300.0, 10.0
"""Seconds in which Azure makes an assignment count, and between two looks."""


def who() -> tuple[str, str]:
    """Object id and type of this login, from its own token: identities in CI may not ask Entra."""
    token = str(az("account", "get-access-token")["accessToken"])
    claims: dict[str, Any] = json.loads(_decoded(token.split(".")[1]))
    # Only a token of a person has the scopes that were delegated to the application.
    return str(claims["oid"]), "User" if claims.get("scp") else "ServicePrincipal"


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


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


def allow_me(stack: Stack) -> None:
    """Let this login read the cluster's token, and no other secret, and the results; wait until
    the token can be read."""
    home = stack.foundation_outputs
    vault, uri = str(home.get("vault_id", "")), stack.output("ray_token_uri")
    if not vault:
        raise OperateError("the foundation has no key vault; run make foundation to create one")
    me, kind = who()
    # An existing vault access may be wider, at the vault itself.
    secret = f"{vault}/secrets/{uri.rsplit('/', 1)[-1]}"
    if _give(TOKEN_ROLE, secret, me, kind, "this cluster's token"):
        _wait_for(uri)
    if results := str(home.get("results_container_id", "")):
        _give(RESULTS_ROLE, results, me, kind, "the results")


def _give(role: str, scope: str, me: str, kind: str, what: str) -> bool:
    """Whether the role was missing."""
    if ENOUGH[role] & roles_at(scope, me):
        return False
    say(f"giving you the role {role}, so that you can read {what}")
    az(
        "role",
        "assignment",
        "create",
        "--role",
        role,
        "--assignee-object-id",
        me,
        "--assignee-principal-type",
        kind,
        "--scope",
        scope,
    )
    return True


def _wait_for(uri: str) -> None:
    """An assignment takes minutes to count. Whatever else is wrong shows when the token is used."""
    until = time.monotonic() + WAIT
    while time.monotonic() < until:
        try:
            az("keyvault", "secret", "show", "--id", uri, "--query", "id")
            return
        except CommandError as error:
            if "Forbidden" not in error.output:
                return
        time.sleep(POLL)
