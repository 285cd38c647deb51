"""When a cluster expires: set once, so that another `up` changes no tag on every resource."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from infra.facts import ROOT
from infra.operate.stack import Stack, create
from infra.operate.tools import UsageError, pulumi, say
from infra.plan.plan import settings_of


def new_expiry(stack: Stack, now: datetime, *, extend: bool, exists: bool) -> str:
    """The time to write into the settings, empty where the one that they have stays.

    A cluster that is there and has expired is not updated without `extend`.
    """
    past = datetime.fromisoformat(stack.cluster.expires) <= now
    if past and exists and not extend:
        raise UsageError(
            f"{stack.label} has expired at {stack.cluster.expires}: make up STACK={stack.name} "
            "ARGS=--extend keeps it for lifetimeHours more, make down ends it"
        )
    if stack.given.cluster.get("expires") and not extend and not past:
        return ""
    fresh = {key: value for key, value in stack.given.cluster.items() if key != "expires"}
    return settings_of(replace(stack.given, cluster=fresh), now)[0].expires


def set_expiry(stack: Stack, time: str) -> None:
    """Write it into `Pulumi.STACK.yaml`."""
    create(stack.name, ROOT)
    pulumi("config", "set", "expires", time, "--stack", stack.name)
    say(f"Pulumi.{stack.name}.yaml: expires is {time}; make up ARGS=--extend sets it anew")
