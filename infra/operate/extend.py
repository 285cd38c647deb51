"""`make extend HOURS=4`: more time for a cluster that runs, without the rest of `make up`."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from infra.components.names import BOOT_TAG, LIMITS_TAG, limits_text
from infra.config.read import MOST_HOURS
from infra.operate.expire import expiry
from infra.operate.expiry import set_expiry
from infra.operate.stack import EXPIRY_TAG, Stack, leftovers
from infra.operate.tags import set_tags
from infra.operate.tools import OperateError, UsageError, pulumi, say

HOURS = re.compile(r"MAX_HOURS=([0-9.]+)")


def extend(stack: Stack, hours: int, now: datetime) -> None:
    """The head may run `hours` longer, and the cluster expires that much later.

    Running machines read their limits from a tag; the settings follow, so that the next `make up`
    leaves it so.
    """
    limits = stack.cluster.limits
    _check(hours, limits.max_hours)
    there = leftovers(stack)
    if not there:
        raise OperateError(f"there is no cluster {stack.label}: make up STACK={stack.name}")
    # Somebody with another checkout may have given it more than the settings here say.
    known = [limits.max_hours, *_hours_of(there)]
    most = max(known) + hours if all(known) else 0
    _check(hours, max(known))
    was = max(now, datetime.fromisoformat(stack.cluster.expires), expiry(there) or now)
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


def _check(hours: int, before: float) -> None:
    if not hours >= 1 or (before and before + hours > MOST_HOURS):
        raise UsageError(f"HOURS={hours}: must be from 1 to {MOST_HOURS - before:g}")


def _hours_of(resources: list[dict[str, Any]]) -> list[float]:
    """What machines were given; 0 is for ever."""
    texts = [(one.get("tags") or {}).get(LIMITS_TAG, "") for one in resources]
    return [float(found[1]) for text in texts if (found := HOURS.search(text))]
