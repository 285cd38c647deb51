"""The quota that a cluster needs. Spot machines count against a quota of their own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from infra.config.settings import ClusterSettings

REGIONAL = "cores"
SPOT = "lowPriorityCores"
"""As `az vm list-usage` names them; a family's name is its size's `family`."""


@dataclass(frozen=True)
class Need:
    """vCPUs of one quota: with the workers that `up` starts, and with as many as may be."""

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
