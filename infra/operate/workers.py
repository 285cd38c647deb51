"""Pools as Azure has them: their scale sets, which machines are whose, draining and removing."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from infra.components.names import POOL_TAG
from infra.operate.leave import STOP
from infra.operate.stack import Stack, in_group, machines
from infra.operate.tools import CommandError, az, say

MINUTES = 5.0
POLL = 10.0
"""Seconds between two looks whether drained machines have stopped."""
RUNNING = "VM running"

Machine = Mapping[str, Any]


def scale_sets(stack: Stack) -> dict[str, dict[str, Any]]:
    """Pool -> its scale set in Azure; none without a group."""
    if not az("group", "exists", "--name", stack.group):
        return {}
    found = az("vmss", "list", "--resource-group", stack.group) or []
    return {pool_of(one, stack): one for one in found if in_group(one, stack)}


def pool_of(resource: Machine, stack: Stack) -> str:
    """The pool of a scale set or a machine; empty for the head."""
    tagged = (resource.get("tags") or {}).get(POOL_TAG)
    if tagged:
        return str(tagged)
    home = (resource.get("virtualMachineScaleSet") or {}).get("id", "").rsplit("/", 1)[-1]
    # Azure names a set's machine SET_12345678.
    name = home or str(resource["name"]).rpartition("_")[0] or str(resource["name"])
    pool = name.removeprefix(f"{stack.label}-")
    return "" if pool == "head" else pool


def workers(stack: Stack) -> dict[str, list[dict[str, Any]]]:
    """Pool -> its machines."""
    found: dict[str, list[dict[str, Any]]] = {}
    for machine in machines(stack):
        if pool := pool_of(machine, stack):
            found.setdefault(pool, []).append(machine)
    return found


def capacity(scale_set: Mapping[str, Any]) -> int:
    """How many machines Azure keeps in the set."""
    return int((scale_set.get("sku") or {}).get("capacity") or 0)


def scale_to(stack: Stack, set_name: str, count: int) -> None:
    """Tell Azure how many machines a set has; it starts or removes some."""
    az(
        "vmss",
        "scale",
        "--name",
        set_name,
        "--resource-group",
        stack.group,
        "--new-capacity",
        str(count),
    )


def drain(stack: Stack, leaving: Sequence[Machine], reason: str) -> None:
    """Let machines stop themselves: work moves away, logs are uploaded, they deallocate."""
    names = {one["name"] for one in leaving if one.get("powerState") == RUNNING}
    if not names:
        return
    say(f"draining {', '.join(sorted(names))}; this takes a minute or two")
    for name in sorted(names):
        try:
            az(
                "vm",
                "run-command",
                "invoke",
                "--resource-group",
                stack.group,
                "--name",
                name,
                "--command-id",
                "RunShellScript",
                "--scripts",
                f"{STOP} '{reason}'",
                "--no-wait",
            )
        except CommandError as error:
            say(f"could not drain {name}, its latest work is lost: {error}")
            names = names - {name}
    until = time.monotonic() + 60 * MINUTES
    while left := names & {m["name"] for m in machines(stack) if m.get("powerState") == RUNNING}:
        if time.monotonic() > until:
            say(f"not stopped within {MINUTES:g} minutes: {', '.join(sorted(left))}; continuing")
            return
        time.sleep(POLL)


def remove(stack: Stack, set_name: str, leaving: Sequence[Machine]) -> None:
    """Delete machines of a set. In Flexible orchestration their names are their ids there."""
    if leaving:
        az(
            "vmss",
            "delete-instances",
            "--name",
            set_name,
            "--resource-group",
            stack.group,
            "--instance-ids",
            *(str(one["name"]) for one in leaving),
        )
