"""After `up`: enough workers, none that started with older boot data, tags as the settings say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from infra.components.names import BOOT_TAG, LIMITS_TAG
from infra.operate import workers
from infra.operate.stack import EXPIRY_TAG, Stack
from infra.operate.tags import set_tags
from infra.operate.tools import say

LIVE_TAGS = (LIMITS_TAG, EXPIRY_TAG, "savanna-owner")
"""Tags of a scale set that its machines get at creation, and that may change later."""


def behind(machine: Mapping[str, Any], scale_set: Mapping[str, Any] | None) -> bool:
    """Whether a worker started with something else than a new one would. Without tags: unknown."""
    tags = [(one or {}).get("tags") or {} for one in (machine, scale_set)]
    has, wants = (one.get(BOOT_TAG) for one in tags)
    return bool(has and wants and has != wants)


def settle(stack: Stack, counts: Mapping[str, int], wait: Callable[[], None]) -> None:
    """Bring every pool to its number, replace machines that are behind, correct tags.

    `counts`: pool -> machines before `up`, which it should have again, up to `max`; `wait` returns
    when all nodes have joined.
    """
    sets = workers.scale_sets(stack)
    wanted = {
        pool.name: max(pool.min, min(counts.get(pool.name, 0), pool.max))
        for pool in stack.cluster.pools
    }
    for pool, count in wanted.items():
        if pool in sets and workers.capacity(sets[pool]) < count:
            say(f"pool {pool}: {workers.capacity(sets[pool])} -> {count} machines")
            workers.scale_to(stack, str(sets[pool]["name"]), count)
    for pool, some in workers.workers(stack).items():
        scale_set = sets.get(pool)
        for machine in some:
            _correct_tags(machine, scale_set)
        old = [one for one in some if behind(one, scale_set)]
        half = (len(old) + 1) // 2
        for batch in (old[:half], old[half:]):
            if batch and scale_set:
                _replace(stack, pool, scale_set, batch, max(wanted.get(pool, 0), len(some)))
                wait()


def _replace(
    stack: Stack, pool: str, scale_set: Mapping[str, Any], batch: list[dict[str, Any]], count: int
) -> None:
    names = ", ".join(sorted(one["name"] for one in batch))
    say(f"pool {pool}: replacing {names}, which started with older settings")
    workers.drain(stack, batch, "make up replaces it")
    workers.remove(stack, str(scale_set["name"]), batch)
    workers.scale_to(stack, str(scale_set["name"]), count)


def _correct_tags(machine: Mapping[str, Any], scale_set: Mapping[str, Any] | None) -> None:
    has, wants = ((one or {}).get("tags") or {} for one in (machine, scale_set))
    wrong = {k: wants[k] for k in LIVE_TAGS if k in wants and has.get(k) != wants[k]}
    if wrong:
        set_tags(str(machine["id"]), wrong)
