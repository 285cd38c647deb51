"""What `pulumi up` would do to machines that live, read from its preview."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.components import head as head_component
from infra.components import pool as pool_component
from infra.config.changes import Effect
from infra.operate.stack import Stack
from infra.operate.tools import pulumi
from infra.plan.effects import HEAD, POOL, effect_of
from infra.policies.rules import short_type

REPLACES = {"replace", "create-replacement", "delete-replaced"}
"""Operations in a preview's steps that belong to a replacement."""
HOLD = {"resources:ResourceGroup", "network:VirtualNetwork", "network:Subnet"}
"""These cannot be replaced while machines are in them."""
REPLACED = {HEAD: head_component.REPLACED, POOL: pool_component.REPLACED}


@dataclass
class Foreseen:
    """Pulumi's names of resources, and pools by their names."""

    head: Effect = Effect.NOTHING  # RESTARTS or REPLACES
    resized: set[str] = field(default_factory=set)  # inputs for which it restarts
    removed: set[str] = field(default_factory=set)  # pools without settings
    replaced: set[str] = field(default_factory=set)  # pools whose scale set is replaced
    outdated: set[str] = field(default_factory=set)  # pools whose machines keep what they have
    impossible: list[str] = field(default_factory=list)


def foresee(stack: Stack) -> Foreseen:
    """Ask Pulumi, which asks Azure first."""
    text = pulumi("preview", "--json", "--refresh", "--stack", stack.name)
    return read(json.loads(text).get("steps") or [])


def read(steps: Iterable[Mapping[str, Any]]) -> Foreseen:
    """The same from a preview's steps."""
    found = Foreseen()
    for step in steps:
        # urn:pulumi:STACK::PROJECT::PARENTS$azure-native:compute:VirtualMachine::NAME
        _, _, kinds, name = step["urn"].split("::", 3)
        kind = short_type(kinds.rsplit("$", 1)[-1])
        pool = name.removesuffix("-set")
        op = step["op"]
        if op in REPLACES or (op == "delete" and kind == HEAD):
            if kind == HEAD:
                found.head = Effect.REPLACES
            elif kind == POOL:
                found.replaced.add(pool)
            elif kind in HOLD:
                found.impossible.append(f"{name} ({kind}) would be replaced")
        elif op == "delete" and kind == POOL:
            found.removed.add(pool)
        elif op == "update":
            _read_update(found, kind, name, step)
    return found


def _read_update(found: Foreseen, kind: str, name: str, step: Mapping[str, Any]) -> None:
    differs = step.get("detailedDiff") or {path: {} for path in step.get("diffReasons") or ()}
    for path, how in differs.items():
        effect = effect_of(f"azure-native:{kind}", path, REPLACED.get(kind, ()))
        if effect == Effect.IMPOSSIBLE:
            found.impossible.append(f"{name} ({kind}): {path} would change")
        # Azure does not say which disk a stopped machine has: for Pulumi it is "added".
        elif effect == Effect.RESTARTS and how.get("kind") != "add":
            found.head = max(found.head, effect)
            found.resized.add(path)
        elif effect == Effect.REPLACES and kind == POOL:
            found.outdated.add(name.removesuffix("-set"))
