"""The quota that a cluster needs. Spot machines count against a separate quota."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from infra.config.settings import ClusterSettings

REGIONAL = "cores"
SPOT = "lowPriorityCores"
"""Names in `az vm list-usage`; that of a family is the `family` of its sizes."""


@dataclass(frozen=True)
class Need:
    """vCPUs of one quota: with the workers that `up` starts, and with the most workers."""

    name: str
    label: str
    minimum: int
    maximum: int


def needs(settings: ClusterSettings) -> list[Need]:
    """What must be free in the region before `up`, and what the pools may grow to."""
    low: Counter[str] = Counter()
    high: Counter[str] = Counter()

    def add(name: str, vcpus: int, least: int, most: int) -> None:
        low[name] += vcpus * least
        high[name] += vcpus * most

    head = settings.head.size
    add(REGIONAL, head.vcpus, 1, 1)
    add(head.family, head.vcpus, 1, 1)
    for pool in settings.pools:
        names = (SPOT,) if pool.spot else (REGIONAL, pool.size.family)
        for name in names:
            add(name, pool.size.vcpus, pool.min, pool.max)
    labels = {REGIONAL: "Regional vCPUs", SPOT: "Regional spot vCPUs"}
    return [Need(name, labels.get(name, name), low[name], high[name]) for name in high]
