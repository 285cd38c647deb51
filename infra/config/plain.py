"""Settings as plain values by key, with defaults filled in: to compare two of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.config import project
from infra.config.pools import POOL_KEYS
from infra.config.problems import Problems
from infra.config.project import Values
from infra.config.settings import ClusterSettings, FoundationSettings

# Not compared: derived from the time of day if empty, or part of other keys.
CLOCK = ("expires", "lifetimeHours", "budgetStart")


def cluster(given: Mapping[str, object], settings: ClusterSettings) -> dict[str, Any]:
    """The cluster's values. `settings` are those that follow from `given`, which is valid."""
    values = Values(project.load(project.CLUSTER), given, Problems())
    pools = {str(entry["name"]): entry for entry in values.entries("pools")}
    return {
        **_plain(values),
        # As they count, not as they are written.
        "foundation": settings.foundation.rsplit("/", 1)[-1],  # organisations may be implied
        "headSize": settings.head.size.name,
        "headAddress": str(settings.network.head_address),
        "headGpu": bool(settings.head.size.gpus),
        "pools": {
            pool.name: {
                **{key: default for key, (default, _) in POOL_KEYS.items()},
                **pools[pool.name],
                "size": pool.size.name,
                "spot": pool.spot,
                "maxPrice": pool.max_price,
                "gpu": bool(pool.size.gpus),
            }
            for pool in settings.pools
        },
    }


def foundation(given: Mapping[str, object], _settings: FoundationSettings) -> dict[str, Any]:
    """The foundation's values."""
    return _plain(Values(project.load(project.FOUNDATION), given, Problems()))


def _plain(values: Values) -> dict[str, Any]:
    read = {"string": values.text, "boolean": values.flag, "array": _texts(values)}
    found: dict[str, Any] = {}
    for name, key in values.keys.items():
        if name in CLOCK or name == "pools":
            continue
        if name == "tags":
            found[name] = values.mapping(name)
            continue
        if key.type == "integer":
            found[name] = values.whole(name, -(10**9), 10**9)
        else:
            found[name] = read[key.type](name)
    return found


def _texts(values: Values) -> Any:
    return lambda name: list(values.texts(name))
