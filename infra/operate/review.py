"""Before anything else, `up` says what changed settings do, and refuses what cannot be done."""

from __future__ import annotations

from infra.config import plain
from infra.config.changes import DOWN_FIRST, Changed, Effect, changes, foundation_changes
from infra.operate.stack import Stack, in_group
from infra.operate.tools import UsageError, az, say


def changed(stack: Stack) -> list[Changed]:
    """What differs from the settings that the cluster, and a foundation of its own, were built
    with. Nothing if they do not exist."""
    found: list[Changed] = []
    if isinstance(built := stack.outputs.get("settings"), dict):
        found += changes(built, plain.cluster(stack.given.cluster, stack.cluster))
    built = stack.foundation_outputs.get("settings")
    if isinstance(built, dict) and stack.foundation_name == stack.name:
        now = plain.foundation(stack.given.foundation, stack.foundation)
        found += foundation_changes(built, now)
    return found


def refuse_strangers(stack: Stack) -> None:
    """`UsageError` if an existing resource group holds machines of others: the cluster's nodes may
    stop every machine in their group."""
    group = stack.cluster.resource_group
    if not group or not az("group", "exists", "--name", group):
        return
    found = az("vm", "list", "--resource-group", group) or []
    others = sorted(one["name"] for one in found if not in_group(one, stack))
    if others:
        raise UsageError(
            f"resourceGroup {group} holds machines of others, which this cluster's nodes could "
            f"stop: {', '.join(others)}. Use a group without machines, or leave resourceGroup empty"
        )


def review(stack: Stack) -> None:
    """Say what each changed setting does; `UsageError` if one is not possible."""
    found = changed(stack)
    refused = [one.line for one in found if one.rule.effect == Effect.IMPOSSIBLE]
    if refused:
        raise UsageError("\n".join([*refused, f"nothing was touched: {DOWN_FIRST}"]))
    for one in found:
        say(one.line)
