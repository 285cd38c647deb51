"""`make extend HOURS=4`: more time for a cluster that runs, without the rest of `make up`."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from infra.components.names import BOOT_TAG, LIMITS_TAG, limits_text
from infra.config.read import MOST_HOURS
from infra.operate.expiry import set_expiry
from infra.operate.stack import EXPIRY_TAG, Stack, leftovers
from infra.operate.tags import set_tags
from infra.operate.tools import OperateError, UsageError, pulumi, say


def extend(stack: Stack, hours: int, now: datetime) -> None:
    """The head may run `hours` longer, and the cluster expires that much later.

    Running machines read their limits from a tag; the settings follow, so that the next `make up`
    leaves it so.
    """
    limits = stack.cluster.limits
    most = limits.max_hours + hours if limits.max_hours else 0
    if not hours >= 1 or most > MOST_HOURS:
        raise UsageError(f"HOURS={hours}: must be from 1 to {MOST_HOURS - limits.max_hours:g}")
    there = leftovers(stack)
    if not there:
        raise OperateError(f"there is no cluster {stack.label}: make up STACK={stack.name}")
    was = max(now, datetime.fromisoformat(stack.cluster.expires))
    expires = f"{was.astimezone(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%MZ}"
    text = limits_text(replace(limits, max_hours=most))
    # Machines first: a head that is about to stop must learn it before anything else.
    for resource in sorted(there, key=lambda one: "virtualMachines" not in one["type"]):
        tags = resource.get("tags") or {}
        new = {LIMITS_TAG: text} if LIMITS_TAG in tags or BOOT_TAG in tags else {}
        new |= {EXPIRY_TAG: expires} if EXPIRY_TAG in tags else {}
        if new:
            set_tags(str(resource["id"]), new)
    if most:
        pulumi("config", "set", "maxHours", f"{most:g}", "--stack", stack.name)
        say(f"Pulumi.{stack.name}.yaml: maxHours is {most:g}; the head reads it while it runs")
    set_expiry(stack, expires)
