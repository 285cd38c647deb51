"""A teardown without Pulumi: what has the cluster's tags, its own group, and its nodes' roles.

For what Pulumi cannot destroy: its record is lost, cannot be decrypted, or lacks something that
Azure has. What belongs to others is never touched.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from infra.components.names import PROJECT_TAG
from infra.operate.orphans import REST_VERSION
from infra.operate.stack import Stack, is_ours, leftovers, strangers
from infra.operate.state import Record
from infra.operate.tools import CommandError, az, say

PAUSES = (0.0, 30.0, 90.0, 180.0)
"""Seconds before each pass. Azure keeps an interface for 180 s for a machine that it could not
make (`NicReservedForAnotherVm`), and subnets while anything in them is going."""
ORDER = (
    "microsoft.compute/virtualmachinescalesets",
    "microsoft.compute/virtualmachines",
    "microsoft.network/bastionhosts",
    "microsoft.network/networkinterfaces",
    "microsoft.compute/disks",
    "microsoft.network/virtualnetworks",
    "microsoft.network/natgateways",
    "microsoft.network/publicipaddresses",
    "microsoft.network/networksecuritygroups",
)
"""What uses others goes before them."""
ROLE_NAME = "savanna node stop ("
ROLES = ("authorization:RoleAssignment", "authorization:RoleDefinition")


def empty_pools(stack: Stack) -> None:
    """Let every pool go to zero: a scale set that is deleted with machines in it leaves
    interfaces behind for a while, and then neither they nor their subnet can be deleted."""
    try:
        sets = az("vmss", "list", "--resource-group", stack.group) or []
    except CommandError:
        return  # no group
    for one in sets:
        if is_ours(one, stack) and (one.get("sku") or {}).get("capacity"):
            say(f"removing the machines of {one['name']}")
            scale = ("--name", one["name"], "--resource-group", stack.group, "--new-capacity", "0")
            _problem(partial(az, "vmss", "scale", *scale), one["name"])


def remove(stack: Stack, record: Record | None) -> list[str]:
    """Remove everything of the cluster from Azure; one line per thing that Azure would not."""
    problems = _roles(stack, record)
    alone = not stack.cluster.resource_group and not strangers(stack)
    if alone and az("group", "exists", "--name", stack.group) and _group_is_ours(stack):
        for pause in PAUSES:
            time.sleep(pause)
            say(f"deleting the resource group {stack.group} with all that is in it")
            delete = partial(az, "group", "delete", "--name", stack.group, "--yes")
            failed = _problem(delete, stack.group)
            if not failed:
                return problems
            say(f"  {failed}")
        problems.append(failed)
    return problems + _one_by_one(stack)


def _group_is_ours(stack: Stack) -> bool:
    tags = (az("group", "show", "--name", stack.group) or {}).get("tags") or {}
    # A group is made with tags, so one without is not from here.
    return bool(tags.get(PROJECT_TAG)) and is_ours({"tags": tags}, stack)


def _one_by_one(stack: Stack) -> list[str]:
    failed: list[str] = []
    for pause in PAUSES:
        there = sorted(leftovers(stack), key=_rank)
        if not there:
            return []
        time.sleep(pause)
        failed = []
        for one in there:
            say(f"deleting {one['name']} ({one['type'].rsplit('/', 1)[-1]})")
            problem = _problem(partial(az, "resource", "delete", "--ids", one["id"]), one["name"])
            if problem:
                failed.append(problem)
        if not failed:
            return []
    return failed


def _rank(resource: dict[str, Any]) -> int:
    kind = resource["type"].lower()
    return ORDER.index(kind) if kind in ORDER else len(ORDER)


def _roles(stack: Stack, record: Record | None) -> list[str]:
    """Role assignments and the nodes' own role lie outside of the group, and have no tags."""
    ids = set()
    for one in record.resources if record else []:
        if one["type"].removeprefix("azure-native:") in ROLES and one.get("id"):
            ids.add(str(one["id"]))
    if not ids:  # the record is lost: by who has them
        ids = _found_roles(stack)
    problems = []
    # Assignments first: a definition that is in use cannot be deleted.
    for id_ in sorted(ids, key=lambda id_: ("roleDefinitions" in id_, id_)):
        url = f"{id_}?api-version={REST_VERSION}"
        problem = _problem(partial(az, "rest", "--method", "delete", "--url", url), id_)
        if problem and "NotFound" not in problem:
            problems.append(problem)
    return problems


def _found_roles(stack: Stack) -> set[str]:
    try:
        holders = {
            one["principalId"]
            for one in az("identity", "list", "--resource-group", stack.group) or []
            if is_ours(one, stack)
        }
        # Without names, which would need rights in Entra.
        given = az("role", "assignment", "list", "--all", "--fill-principal-name", "false") or []
        custom = az("role", "definition", "list", "--custom-role-only", "true") or []
    except CommandError:
        return set()
    mine = f"{ROLE_NAME}{stack.label},"
    return {one["id"] for one in given if one["principalId"] in holders} | {
        one["id"] for one in custom if str(one.get("roleName", "")).startswith(mine)
    }


def _problem(action: Callable[[], Any], what: str) -> str:
    """Nothing if it worked, else what Azure said."""
    try:
        action()
    except CommandError as error:
        said = " ".join(error.output.split()).removeprefix("ERROR: ")
        return f"{what}: {said[:300]}"
    return ""
