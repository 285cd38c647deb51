"""Before `up`: whether it would replace or restart machines, which ends what runs on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from infra.config.changes import DOWN_FIRST, Effect
from infra.facts import ROOT
from infra.operate import workers
from infra.operate.ask import confirm
from infra.operate.foresee import Foreseen, foresee
from infra.operate.leave import head_runs, take_leave
from infra.operate.resize import resize_head
from infra.operate.roll import behind
from infra.operate.stack import Stack
from infra.operate.state import make_sure, read_record
from infra.operate.tools import OperateError


@dataclass(frozen=True)
class Prepared:
    """What `up` must know afterwards."""

    head_goes: bool = False  # it is replaced, so a stopped one need not be started before
    counts: Mapping[str, int] = field(default_factory=dict)  # pool -> machines before


def leave_before(stack: Stack, *, yes: bool) -> Prepared:
    """If `up` replaces or restarts machines of a cluster: say so, ask, let runs end cleanly."""
    if not stack.known:
        return Prepared()
    seen = foresee(stack)
    if seen.impossible:
        raise OperateError("\n".join([*seen.impossible, f"not possible: {DOWN_FIRST}"]))
    there, sets = workers.workers(stack), workers.scale_sets(stack)
    counts = {pool: len(some) for pool, some in there.items()}
    for pool, one in sets.items():
        counts[pool] = max(counts.get(pool, 0), workers.capacity(one))
    doomed = {pool: there[pool] for pool in sorted(seen.removed | seen.replaced) if there.get(pool)}
    old = {
        pool: [one for one in some if pool in seen.outdated or behind(one, sets.get(pool))]
        for pool, some in there.items()
        if pool not in doomed
    }
    head = seen.head if head_runs(stack) else Effect.NOTHING
    asked = Effect.REPLACES if seen.head == Effect.REPLACES else head  # its disk goes in any case
    _ask(seen, asked, doomed, {pool: some for pool, some in old.items() if some}, yes=yes)
    if head or doomed:
        make_sure(stack.name, ROOT, read_record(stack.name, ROOT), yes=yes)
    if head:
        take_leave(stack, f"make up {'replaces' if head == Effect.REPLACES else 'restarts'} it")
    for pool, some in doomed.items():
        workers.drain(stack, some, f"make up replaces pool {pool}")
        if pool in sets:
            workers.remove(stack, str(sets[pool]["name"]), some)
    if seen.head == Effect.RESTARTS:
        resize_head(stack, seen.resized)
    return Prepared(seen.head == Effect.REPLACES, counts)


def _ask(
    seen: Foreseen,
    head: Effect,
    doomed: Mapping[str, list[dict[str, Any]]],
    old: Mapping[str, list[dict[str, Any]]],
    *,
    yes: bool,
) -> None:
    lines = []
    if head == Effect.REPLACES:
        lines.append("replaces head-machine; data that is only there is lost")
    elif head == Effect.RESTARTS:
        lines.append("restarts head-machine; its disk stays")
    for pool, some in doomed.items():
        verb = "removes" if pool in seen.removed else "replaces"
        lines.append(f"{verb} {pool}-set and its {len(some)} machines, which drain first")
    for pool, some in old.items():
        names = ", ".join(sorted(one["name"] for one in some))
        lines.append(f"replaces machines of {pool}-set that started with something else: {names}")
    if lines:
        confirm(
            "The settings or boot files have changed. Running jobs end after a last checkpoint, or "
            "go on with fewer workers for some minutes:\n"
            + "\n".join(f"  this {line}" for line in lines)
            + "\nGo on?",
            yes=yes,
        )
