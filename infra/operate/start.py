"""Starts machines that have stopped themselves, for which Azure may have no room any more."""

from __future__ import annotations

import re
import time
from typing import Any

from infra.config import sizes
from infra.operate.stack import Stack, machines
from infra.operate.tools import CommandError, OperateError, az, say
from infra.plan.prices import PriceTable, load

STOPPED = ("VM deallocated", "VM deallocating", "VM stopped")
"""After a node has stopped itself; "VM stopped" if it could not deallocate itself."""
NO_ROOM = re.compile(r"\w*AllocationFailed|OverconstrainedAllocation|SkuNotAvailable")
PAUSES = (60.0, 120.0, 240.0)
"""Seconds before the next attempt to start a machine for which there was no room."""


def start_stopped(stack: Stack) -> None:
    """Start machines that have stopped themselves, which Pulumi does not notice."""
    stopped = [one for one in machines(stack) if one.get("powerState") in STOPPED]
    if not stopped:
        return
    names = ", ".join(one["name"] for one in stopped)
    say(f"starting {names}")
    for pause in (*PAUSES, None):
        try:
            az("vm", "start", "--ids", *(one["id"] for one in stopped))
            return
        except CommandError as error:
            found = NO_ROOM.search(error.output)
            if not found:
                raise
            if pause is None:
                raise OperateError(_way_on(stack, stopped, found[0])) from error
            say(f"Azure has no room for {names} now ({found[0]}); trying again in {pause:g} s")
            time.sleep(pause)


def _way_on(stack: Stack, stopped: list[dict[str, Any]], code: str) -> str:
    """What else could be done, with its price."""
    names = ", ".join(one["name"] for one in stopped)
    lines = [
        f"Azure has no room for {names} ({code}), after {len(PAUSES) + 1} attempts. Disks are "
        f"kept. Run make up again later, or set in Pulumi.{stack.name}.yaml:"
    ]
    if any(one["name"] == f"{stack.label}-head" for one in stopped):
        lines += [f"  {line}" for line in _other_heads(stack, load())]
    lines.append(
        "  another location, after make down: results stay, and `savanna submit --resume RUN` "
        "goes on from them"
    )
    return "\n".join(lines)


def _other_heads(stack: Stack, prices: PriceTable) -> list[str]:
    """Sizes that can do as much as the head's, the cheapest first."""
    head, region = stack.cluster.head.size, stack.cluster.location
    found = []
    for size in sizes.load().values():
        enough = size.gpus >= head.gpus and size.vcpus >= head.vcpus and not size.retires
        bootable = set(size.disk_controllers) & set(head.disk_controllers)
        price = prices.find(f"vm/{size.name}", region)
        if enough and bootable and size.name != head.name and price:
            found.append((price.hourly, size.name))
    now = prices.find(f"vm/{head.name}", region)
    before = f" instead of ${now.hourly:.2f}" if now else ""
    return [
        f"headSize: {name}, ${hourly:.2f} per hour{before}" for hourly, name in sorted(found)[:3]
    ]
