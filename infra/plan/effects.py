"""What Azure and its provider do when an input of a resource changes.

By this, `make up` reads what Pulumi's preview says, and a test checks the table of settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from infra.components.names import BOOT_TAG
from infra.config.changes import Effect
from infra.plan.engine import Resource, Run, walk
from infra.policies.rules import short_type

HEAD, POOL = "compute:VirtualMachine", "compute:VirtualMachineScaleSet"
FIXED = {"network:VirtualNetwork": ("addressSpace",), "network:Subnet": ("addressPrefix",)}
"""Azure refuses a change of these while machines are in the network."""
PLACE = ("location", "resourceGroupName", "scope")
"""Nothing can change these; the provider makes a new resource."""
RESIZED = ("hardwareProfile.vmSize", "storageProfile.osDisk.diskSizeGB")
"""Of the head: it is stopped for these."""
STARTED_WITH = ("virtualMachineProfile.", "sku.name", f"tags.{BOOT_TAG}")
"""Of a scale set: only new machines get these, so those that run are replaced."""


@dataclass(frozen=True)
class Touch:
    """What happens to one resource."""

    resource: str
    effect: Effect
    head: bool = False
    workers: bool = False
    why: str = ""  # paths of inputs


def effect_of(
    type_: str, path: str, replaced: Iterable[str] = (), ignored: Iterable[str] = ()
) -> Effect:
    """What a change of the input `path` does to a resource of this type.

    `replaced` and `ignored` are its options `replace_on_changes` and `ignore_changes`.
    """
    kind = short_type(type_)
    if _under(path, ignored):
        return Effect.NOTHING
    if (
        path in PLACE
        or (path.endswith("Name") and "." not in path)
        or _under(path, FIXED.get(kind, ()))
    ):
        return Effect.IMPOSSIBLE
    if _under(path, replaced):
        return Effect.REPLACES
    if kind == HEAD and _under(path, RESIZED):
        return Effect.RESTARTS
    if kind == POOL and path.startswith(STARTED_WITH):
        return Effect.REPLACES
    return Effect.IN_PLACE


def _under(path: str, parents: Iterable[str]) -> bool:
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in parents)


def compare(before: Run, after: Run) -> Iterator[Touch]:
    """What an update from one run's resources to the other's does to each."""
    old, new = ({r.urn: r for r in run.created()} for run in (before, after))
    for urn in sorted(old.keys() | new.keys()):
        resource = new.get(urn) or old[urn]
        if urn not in new:
            gone = Effect.REPLACES if short_type(resource.type) in (HEAD, POOL) else Effect.IN_PLACE
            yield _touch(resource, gone, "removed")
        elif urn not in old:
            yield _touch(resource, Effect.IN_PLACE, "new")
        else:
            yield from _differences(old[urn], new[urn])


def _differences(old: Resource, new: Resource) -> Iterator[Touch]:
    before, after = dict(_leaves(old)), dict(_leaves(new))
    paths = [p for p in sorted(before.keys() | after.keys()) if before.get(p) != after.get(p)]
    by_effect: dict[Effect, list[str]] = {}
    options = new.options
    for path in paths:
        effect = effect_of(new.type, path, options.replace_on_changes, options.ignore_changes)
        by_effect.setdefault(effect, []).append(path)
    if by_effect:
        worst = max(by_effect)
        yield _touch(new, worst, ", ".join(by_effect[worst]))


def _leaves(resource: Resource) -> Mapping[str, Any]:
    return dict(walk(resource.inputs))


def _touch(resource: Resource, effect: Effect, why: str) -> Touch:
    kind = short_type(resource.type)
    serious = effect > Effect.IN_PLACE
    return Touch(resource.name, effect, serious and kind == HEAD, serious and kind == POOL, why)
