"""What changing each setting does to a cluster that lives: the one place that says so.

`make up`, `make preview`, `make plan ARGS="--diff FILE"` and docs/azure-settings.md read it; a test
compares it with what the programs declare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import IntEnum
from typing import Any


class Effect(IntEnum):
    """What happens to the cluster, the mildest first."""

    NOTHING = 0  # only what comes later differs
    IN_PLACE = 1  # jobs go on
    RESTARTS = 2  # the head is stopped, changed and started; its disk stays
    REPLACES = 3  # machines are drained and replaced
    IMPOSSIBLE = 4  # `make down` first


@dataclass(frozen=True)
class Rule:
    """What changing one setting does."""

    effect: Effect
    text: str  # for people, in the present tense
    head: bool = False  # whether `effect` is about the head
    workers: bool = False  # and about workers


def _in_place(text: str) -> Rule:
    return Rule(Effect.IN_PLACE, f"in place: {text}")


def _impossible(text: str) -> Rule:
    return Rule(Effect.IMPOSSIBLE, f"not possible: {text}")


DOWN_FIRST = "run `make down`, change it, run `make up`"
WORKERS = "drains and replaces the pool's workers"
CLUSTER: dict[str, Rule] = {
    "owner": _in_place("changes tags"),
    "sshPublicKey": Rule(
        Effect.REPLACES,
        "replaces the head and all workers: Azure takes a key only with a new machine",
        head=True,
        workers=True,
    ),
    "tags": _in_place("changes tags"),
    "name": _impossible("it is in the name of everything"),
    "location": _impossible("nothing can move"),
    "foundation": _impossible("results, images and the token come from it"),
    "resourceGroup": _impossible("nothing can move"),
    "dev": Rule(Effect.NOTHING, "nothing: it only decides which images are accepted"),
    "cpuImage": Rule(Effect.REPLACES, "replaces the machines that run it", head=True, workers=True),
    "gpuImage": Rule(Effect.REPLACES, "replaces the machines that run it", head=True, workers=True),
    "headSize": Rule(
        Effect.REPLACES,
        "replaces the head; only restarts it if memory, GPUs and kind of disk stay the same",
        head=True,
    ),
    "headDiskGib": Rule(
        Effect.RESTARTS, "restarts the head with a larger disk; a smaller one: not possible", True
    ),
    "headShmGib": Rule(Effect.REPLACES, "replaces the head", head=True),
    "pools": Rule(Effect.REPLACES, "see below", workers=True),
    "addressSpace": _impossible("machines are in it"),
    "nodesRange": _impossible("machines are in it"),
    "headAddress": Rule(
        Effect.REPLACES,
        "replaces the head and all workers, which know its address",
        head=True,
        workers=True,
    ),
    "existingSubnetId": _impossible("machines are in it"),
    "existingSubnetRange": _impossible("machines are in it"),
    "bastion": _in_place("builds or removes Bastion, which ends its tunnels"),
    "adminRanges": _in_place("changes firewall rules"),
    "joinMinutes": _in_place("running machines read it"),
    "idleMinutes": _in_place("the running head reads it"),
    "maxHours": _in_place("the running head reads it"),
    "lifetimeHours": Rule(Effect.NOTHING, "nothing until the next `make up ARGS=--extend`"),
    "expires": _in_place("changes tags"),
}
POOL: dict[str, Rule] = {
    "name": Rule(
        Effect.REPLACES, "drains and removes the old pool, builds the new one", workers=True
    ),
    "size": Rule(Effect.REPLACES, WORKERS, workers=True),
    "spot": Rule(Effect.REPLACES, f"{WORKERS}, with the scale set", workers=True),
    "maxPrice": Rule(Effect.REPLACES, f"{WORKERS}, with the scale set", workers=True),
    "min": _in_place("`make up` starts machines that are missing, and stops none"),
    "max": Rule(Effect.NOTHING, "nothing until the next `make workers`"),
    "diskGib": Rule(Effect.REPLACES, WORKERS, workers=True),
    "shmGib": Rule(Effect.REPLACES, WORKERS, workers=True),
}
FOUNDATION: dict[str, Rule] = {
    "owner": _in_place("changes tags"),
    "tags": _in_place("changes tags"),
    "budgetEmails": _in_place("changes the budget"),
    "name": _impossible("it is in the name of everything"),
    "location": _impossible("results cannot move"),
    "resourceGroup": _impossible("results cannot move"),
    "registry": _impossible("clusters pull from it"),
    "monthlyBudget": _in_place("changes the budget"),
    "budgetStart": Rule(Effect.NOTHING, "nothing: it counts only for a new budget"),
    "repository": _in_place("changes who may push images"),
    "repositoryBranch": _in_place("changes who may push images"),
    "keepDays": _in_place("changes the storage account"),
}


@dataclass(frozen=True)
class Changed:
    """One setting that differs from what the cluster was built with."""

    key: str  # "maxHours", "pools.cpu.size"
    before: object
    after: object
    rule: Rule

    @property
    def line(self) -> str:
        """For people."""
        return f"{self.key} {_show(self.before)} -> {_show(self.after)}: {self.rule.text}"


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Changed]:
    """What differs between two results of `plain.cluster`, in the table's order."""
    found: list[Changed] = []
    for key, rule in CLUSTER.items():
        old, new = before.get(key), after.get(key)
        if key == "pools":
            found += _pools(old or {}, new or {})
        elif key in before and key in after and old != new:
            found.append(Changed(key, old, new, _narrowed(key, rule, before, after)))
    return found


def foundation_changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Changed]:
    """The same of two results of `plain.foundation`."""
    return [
        Changed(key, before[key], after[key], rule)
        for key, rule in FOUNDATION.items()
        if key in before and key in after and before[key] != after[key]
    ]


def _narrowed(key: str, rule: Rule, before: Mapping[str, Any], after: Mapping[str, Any]) -> Rule:
    """The rule for this very change."""
    if key == "headDiskGib" and after[key] < before[key]:
        return _impossible("Azure shrinks no disk")
    if key in ("cpuImage", "gpuImage"):
        gpu = key == "gpuImage"
        head = after.get("headGpu") == gpu
        workers = any(pool["gpu"] == gpu for pool in after["pools"].values())
        if not head and not workers:
            return Rule(Effect.NOTHING, "nothing: no machine runs it")
        return replace(rule, head=head, workers=workers)
    if key in ("sshPublicKey", "headAddress") and not after["pools"]:
        return replace(rule, workers=False)
    return rule


def _pools(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Changed]:
    for name in before.keys() - after.keys():
        gone = Rule(Effect.REPLACES, "drains and removes the pool's workers", workers=True)
        yield Changed(f"pools.{name}", "(exists)", "(none)", gone)
    for name in after.keys() - before.keys():
        yield Changed(f"pools.{name}", "(none)", "(new)", _in_place("builds the pool"))
    for name in sorted(before.keys() & after.keys()):
        for key, rule in POOL.items():
            old, new = before[name].get(key), after[name].get(key)
            if old != new:
                yield Changed(f"pools.{name}.{key}", old, new, rule)


def _show(value: object) -> str:
    text = "(empty)" if value in ("", [], None) else str(value)
    return text if len(text) <= 40 else f"{text[:18]}...{text[-18:]}"
