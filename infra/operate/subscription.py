"""The right subscription, always: the one that the stack was built in, whatever `az` has chosen.

The first `up` writes it into both projects' settings, where the provider reads it too. From then on
every `az` command names it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from infra.facts import ROOT
from infra.operate import tools
from infra.operate.stack import FOUNDATION, Stack, create
from infra.operate.tools import CommandError, UsageError, az, pulumi, say

ID, TENANT = "azure-native:subscriptionId", "azure-native:tenantId"


def choose(stack: Stack) -> dict[str, Any]:
    """Make every `az` and `pulumi` of this process use the stack's subscription; what `az` says
    about it. `UsageError` if the settings name another than it was built in, or if this login does
    not see it."""
    written, outputs = stack.given.azure.get(ID, ""), _outputs(stack)
    built = str(outputs.get("subscription") or _of(outputs.get("head_vm_id")))
    if written and built and written != built:
        raise UsageError(
            f"{stack.label} was built in subscription {built}, but Pulumi.{stack.name}.yaml says "
            f"{written}: pulumi config set {ID} {built} --stack {stack.name}; to move a cluster, "
            "make down first"
        )
    pin(written or built)
    try:
        account: dict[str, Any] = az("account", "show")
    except CommandError as error:
        if not (written or built) or "az login" in error.output:
            raise
        tenant = stack.given.azure.get(TENANT) or outputs.get("tenant") or "TENANT"
        raise UsageError(
            f"{stack.label} is in subscription {written or built}, which this login does not see: "
            f"az login --tenant {tenant}"
        ) from error
    return account


def _outputs(stack: Stack) -> Mapping[str, Any]:
    """The cluster's outputs; none where Pulumi cannot say, which whoever needs them will find."""
    try:
        return stack.outputs
    except CommandError:
        return {}


def use_written(stack: Stack) -> None:
    """The one that the settings name, before anything is asked; `choose` then looks further."""
    if written := stack.given.azure.get(ID, ""):
        pin(written)


def pin(subscription: str) -> None:
    """For every command of this process; empty: what `az account set` chose."""
    tools.SUBSCRIPTION = subscription
    if subscription:
        os.environ["ARM_SUBSCRIPTION_ID"] = subscription  # azure-native's default
    else:
        os.environ.pop("ARM_SUBSCRIPTION_ID", None)


def remember(stack: Stack, account: dict[str, Any]) -> None:
    """Write it into the settings of the cluster, and of a foundation of its own."""
    if stack.given.azure.get(ID):
        return
    places: list[tuple[str, Path]] = [(stack.name, ROOT)]
    if stack.foundation_name == stack.name:
        places.append((stack.name, FOUNDATION))
    for name, program in places:
        create(name, program)
        for key, value in ((ID, account["id"]), (TENANT, account.get("tenantId"))):
            if value:
                pulumi("config", "set", key, str(value), "--stack", name, cwd=program)
    pin(str(account["id"]))
    say(f"Pulumi.{stack.name}.yaml: {ID} is {account['id']}, and stays so")


def named(account: dict[str, Any]) -> str:
    """For people."""
    return f"subscription {account.get('name', '?')} ({account['id']})"


def _of(resource_id: object) -> str:
    parts = str(resource_id or "").split("/")
    return parts[2] if len(parts) > 2 and parts[1].lower() == "subscriptions" else ""
