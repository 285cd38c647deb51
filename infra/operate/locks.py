"""Azure's locks, with which somebody forbids deletion. They are named and never removed here."""

from __future__ import annotations

from dataclasses import dataclass

from infra.operate.stack import Stack
from infra.operate.tools import CommandError, az

PART = "/providers/Microsoft.Authorization/locks/"


@dataclass(frozen=True)
class AzureLock:
    """A management lock. `scope`: the ARM id of what it protects, with all in it."""

    id: str
    scope: str
    level: str  # "CanNotDelete" or "ReadOnly"
    notes: str

    def __str__(self) -> str:
        why = f": {self.notes}" if self.notes else ""
        return f"{self.level} {self.id.rsplit('/', 1)[1]} on {self.scope}{why}"


def locks(stack: Stack) -> list[AzureLock]:
    """Those that can keep `down` from reaching zero: on the subscription, the cluster's group,
    something in it, or the foundation, where the nodes' roles are assigned."""
    try:
        found = az("lock", "list") or []
    except CommandError:
        return []  # not everybody may read them; deletion will tell
    groups = {stack.group.lower(), str(stack.foundation_outputs.get("resource_group", "")).lower()}
    made = [
        AzureLock(one["id"], one["id"].rsplit(PART, 1)[0], one["level"], one.get("notes") or "")
        for one in found
        if PART in one["id"]
    ]
    return [one for one in made if _group(one.scope) in ("", *groups)]


def forbids_all(lock: AzureLock, stack: Stack) -> bool:
    """Whether nothing of the cluster can be deleted under this lock."""
    whole = _group(lock.scope) in ("", stack.group.lower())
    return whole and "/providers/" not in lock.scope


def _group(scope: str) -> str:
    """The name of the resource group of a scope; empty for the subscription."""
    parts = scope.lower().split("/")
    return parts[4] if len(parts) > 4 and parts[3] == "resourcegroups" else ""
