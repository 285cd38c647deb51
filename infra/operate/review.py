"""Before anything else, `up` says what changed settings do, and refuses what cannot be done."""

from __future__ import annotations

from infra.config import plain
from infra.config.changes import DOWN_FIRST, Changed, Effect, changes, foundation_changes
from infra.operate.stack import Stack
from infra.operate.tools import UsageError, say


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


def review(stack: Stack) -> None:
    """Say what each changed setting does; `UsageError` if one is not possible."""
    found = changed(stack)
    refused = [one.line for one in found if one.rule.effect == Effect.IMPOSSIBLE]
    if refused:
        raise UsageError("\n".join([*refused, f"nothing was touched: {DOWN_FIRST}"]))
    for one in found:
        say(one.line)
