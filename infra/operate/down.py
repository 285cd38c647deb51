"""`make down` and `make purge`: destroy things and check that they are gone."""

from __future__ import annotations

import time

from infra.components.names import prefix
from infra.facts import ROOT
from infra.local import context
from infra.operate.ask import confirm, confirm_by_name
from infra.operate.leave import take_leave
from infra.operate.stack import FOUNDATION, Stack, destroy, leftovers
from infra.operate.tools import CommandError, OperateError, az, pulumi, say

SETTLE = (0.0, 15.0, 45.0, 120.0)
"""Seconds before each look at what is left: Azure's list lags behind its deletions."""


def down(stack: Stack, *, yes: bool, at_once: bool = False) -> None:
    """Destroy the cluster, keep the foundation; `OperateError` if anything of the cluster is left.

    `at_once`: do not let running jobs write a last checkpoint.
    """
    there = leftovers(stack)
    if not there and not stack.outputs:
        say(f"there is no cluster {stack.label}; the foundation, if any, stays")
        return
    say(f"will be destroyed, with all data that is only on its machines ({len(there)} resources):")
    for resource in there:
        say(f"  {_line(resource)}")
    say("will stay:")
    for line in staying(stack):
        say(f"  {line}")
    confirm(f"Destroy the cluster {stack.label}?", yes=yes)
    if not at_once:
        take_leave(stack)
    destroy(stack.name, ROOT)
    stack.forget_outputs()
    _verify(stack)
    context.forget(stack.label)
    say(
        f"{stack.label} is gone and no longer billed. The foundation stays; to remove it too: "
        f"make purge STACK={stack.name}"
    )


def staying(stack: Stack) -> list[str]:
    """What `down` keeps, in words."""
    home = stack.foundation_outputs
    lines = [
        f"results in {home.get('storage_uri', 'the storage account')}",
        f"images in {home.get('registry_login_server', 'the registry')}",
        f"the key vault {home.get('vault_uri', '')}, with this cluster's token, which is then "
        "useless",
        "the budget and its alerts",
    ]
    if stack.cluster.resource_group:
        lines.append(f"the resource group {stack.cluster.resource_group}, which existed before")
    if subnet := stack.cluster.network.existing_subnet_id:
        lines.append(f"the subnet {subnet.rsplit('/', 1)[-1]} and its network")
    return lines


def _verify(stack: Stack) -> None:
    remaining = []
    for pause in SETTLE:
        time.sleep(pause)
        remaining = leftovers(stack)
        if not remaining:
            return
    raise OperateError(
        "\n".join(
            [
                f"{len(remaining)} resources are left and may cost money:",
                *(f"  {_line(resource)}" for resource in remaining),
                "remove them: az resource delete --ids "
                + " ".join(resource["id"] for resource in remaining),
            ]
        )
    )


def _line(resource: dict[str, str]) -> str:
    return f"{resource['name']}  {resource['type'].removeprefix('Microsoft.')}"


def purge(stack: Stack, *, yes: bool, name: str) -> None:
    """Also remove the foundation: results, images, everything. Asks twice."""
    if leftovers(stack) or stack.outputs:
        raise OperateError(f"the cluster still exists: run make down STACK={stack.name} first")
    home = stack.foundation_outputs
    if not home:
        say(f"there is no foundation {stack.foundation_name}")
        return
    label = prefix(stack.foundation)
    registry = home.get("registry_login_server")
    say(
        f"will be lost for good: all results in {home.get('storage_uri')}, the vault "
        f"{home.get('vault_uri')}"
        + ("" if stack.foundation.registry else f", all images in {registry}")
    )
    if stack.foundation.registry:
        say(f"will stay: the registry {registry}, which existed before")
    others = _other_clusters(stack)
    if others:
        raise OperateError(
            f"clusters of other stacks exist: {', '.join(others)}. They may use this "
            "foundation; destroy them first, with make down"
        )
    confirm(f"Destroy the foundation {label} and all results?", yes=yes)
    confirm_by_name("This cannot be undone.", label, name)
    home_stack = stack.foundation_name
    pulumi("state", "unprotect", "--all", "--yes", "--stack", home_stack, cwd=FOUNDATION)
    destroy(home_stack, FOUNDATION)
    stack.forget_outputs()
    group = str(home["resource_group"])
    if not stack.foundation.resource_group and az("group", "exists", "--name", group):
        raise OperateError(f"the resource group {group} still exists: az group show -n {group}")
    say(f"{label} is gone. The vault's name stays reserved for 7 days, at no cost")


def _other_clusters(stack: Stack) -> list[str]:
    try:
        found = az("resource", "list", "--tag", f"savanna-project={stack.cluster.name}") or []
    except CommandError:
        return []
    names = {
        (resource.get("tags") or {}).get("savanna-stack", "")
        for resource in found
        if (resource.get("tags") or {}).get("savanna-expires") != "never"
    }
    return sorted(names - {stack.name, ""})
