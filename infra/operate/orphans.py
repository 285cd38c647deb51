"""What Azure has and Pulumi does not: it was being created when `pulumi` was killed.

Pulumi can neither create it ("exists already") nor destroy what it uses ("in use"), and cannot
adopt it. So it is removed, if it has the cluster's tags; `up` then makes it anew.
"""

from __future__ import annotations

import time
from typing import Any

from infra.facts import ROOT
from infra.operate.stack import Stack, is_ours, strangers
from infra.operate.state import Pending, Record, forget_pending
from infra.operate.tools import CommandError, OperateError, az, say
from infra.plan.fake_azure import arm_id

ABSENT = ("NotFound", "not found", "could not be found")
AT_WORK = {"Creating", "Updating", "Deleting", "Accepted", "Running"}
POLL, MINUTES = 15.0, 30.0
"""Between two looks whether Azure has finished, in seconds; Bastion takes ten minutes or more."""
BY_REST = "authorization:"
"""Types that `az resource` does not find by id: they are attached to something else."""
REST_VERSION = "2022-04-01"
BY_CHANCE = ("keyvault:Secret",)
"""Types whose names are drawn by lot: another `up` does not meet them, and they cost nothing."""
LAST = ("network:VirtualNetwork", "resources:ResourceGroup")
"""What others lie in is removed after them; before these, whatever is not a machine."""


def remove_orphans(stack: Stack, record: Record) -> list[str]:
    """Remove what is pending in the record, exists, and is ours; its ids. Then the record is clean.

    `OperateError` if something of that name belongs to somebody else, or cannot be removed.
    """
    pending = [one for one in record.pending if one.type not in BY_CHANCE]
    if not record.pending:
        return []
    subscription = az("account", "show")["id"]
    removed = []
    for one in sorted(pending, key=_order):
        id_ = arm_id(subscription, one.type, one.name, dict(one.inputs))
        there = _settled(id_, one)
        if there is None:
            continue
        if not _may_go(there, one, stack):
            raise OperateError(
                f"{id_} exists, but is not this cluster's: it lacks the tags. Remove or rename it, "
                f"or choose another name in Pulumi.{stack.name}.yaml"
            )
        say(
            f"{_name(id_)} was being made when an earlier command was interrupted. Azure has it, "
            "Pulumi has no record of it: removing it"
        )
        _delete(id_, one, stack)
        removed.append(id_)
    forget_pending(stack.name, ROOT, record)
    return removed


def _order(one: Pending) -> tuple[bool, bool]:
    return one.type in LAST, not one.type.startswith("compute:")


def _name(id_: str) -> str:
    *_, kind, name = id_.split("/")
    return f"{name} ({kind})"


def _settled(id_: str, one: Pending) -> dict[str, Any] | None:
    """The resource as soon as Azure is no longer at work on it; None if there is none."""
    until = time.monotonic() + 60 * MINUTES
    while True:
        there = _show(id_, one)
        state = ((there or {}).get("properties") or {}).get("provisioningState")
        if there is None or state not in AT_WORK or time.monotonic() > until:
            return there
        say(f"  {_name(id_)}: {state}; waiting until Azure has finished")
        time.sleep(POLL)


def _show(id_: str, one: Pending) -> dict[str, Any] | None:
    try:
        if one.type.startswith(BY_REST):
            found = az("rest", "--method", "get", "--url", f"{id_}?api-version={REST_VERSION}")
        else:
            found = az("resource", "show", "--ids", id_)
    except CommandError as error:
        if any(word in error.output for word in ABSENT):
            return None
        raise
    return dict(found)


def _may_go(there: dict[str, Any], one: Pending, stack: Stack) -> bool:
    """Only what has our tags; what can have none goes by where it is and its name."""
    if there.get("tags"):
        return is_ours(there, stack)
    if one.type.startswith(BY_REST):
        return True  # the name is a hash of the cluster's own ids
    # A subnet: its network has our name and is in the cluster's group.
    return one.type == "network:Subnet" and str(one.inputs.get("virtualNetworkName", "")) == (
        f"{stack.label}-network"
    )


def _delete(id_: str, one: Pending, stack: Stack) -> None:
    if one.type.startswith(BY_REST):
        az("rest", "--method", "delete", "--url", f"{id_}?api-version={REST_VERSION}")
    elif one.type == "resources:ResourceGroup":
        if others := strangers(stack):
            raise OperateError(
                f"{_name(id_)} was being made when an earlier command was interrupted, and others "
                f"have put something into it since ({others[0]['name']}): move that, then run this "
                "again"
            )
        az("group", "delete", "--name", id_.rsplit("/", 1)[1], "--yes")
    else:
        az("resource", "delete", "--ids", id_)
