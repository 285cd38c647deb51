"""When a cluster expires: set once, so that another `up` does not change every tag."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from infra.facts import ROOT
from infra.operate.stack import Stack, create
from infra.operate.tools import UsageError, pulumi, say
from infra.plan.plan import settings_of


def new_expiry(stack: Stack, now: datetime, *, extend: bool, exists: bool) -> str:
    """The time to write into the settings; empty to keep the present one.

    An existing cluster that has expired is not updated without `extend`.
    """
    past = datetime.fromisoformat(stack.cluster.expires) <= now
    if past and exists and not extend:
        raise UsageError(
            f"{stack.label} expired at {stack.cluster.expires}: make up STACK={stack.name} "
            "ARGS=--extend keeps it for another lifetimeHours, make down destroys it"
        )
    if stack.given.cluster.get("expires") and not extend and not past:
        return ""
    fresh = {key: value for key, value in stack.given.cluster.items() if key != "expires"}
    return settings_of(replace(stack.given, cluster=fresh), now)[0].expires


def set_expiry(stack: Stack, time: str) -> None:
    """Write it into `Pulumi.STACK.yaml`."""
    create(stack.name, ROOT)
    pulumi("config", "set", "expires", time, "--stack", stack.name)
    say(f"Pulumi.{stack.name}.yaml: expires is {time}; make up ARGS=--extend moves it")
