"""Names and tags of resources. Pure functions."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from infra.config.settings import ClusterSettings, FoundationSettings, Limits

PROJECT_TAG = "savanna-project"
POOL_TAG = "savanna-pool"
"""On scale sets and their machines: the pool's name."""
BOOT_TAG = "savanna-boot"
"""On machines and scale sets: a fingerprint of what a machine starts with."""
LIMITS_TAG = "savanna-limits"
"""On machines and scale sets: when they stop themselves. Nodes read it while they run."""


def prefix(settings: ClusterSettings | FoundationSettings) -> str:
    """The prefix of the names of all resources in a resource group."""
    return f"{settings.name}-{settings.stack}"


def tags(settings: ClusterSettings | FoundationSettings) -> dict[str, str]:
    """Tags for everything that accepts tags. The foundation does not expire."""
    expires = settings.expires if isinstance(settings, ClusterSettings) else "never"
    return {
        **settings.tags,
        PROJECT_TAG: settings.name,
        "savanna-stack": settings.stack,
        "savanna-owner": settings.owner,
        "savanna-expires": expires,
    }


def limits_text(limits: Limits) -> str:
    """The value of `LIMITS_TAG`, with the names that nodes know (infra/boot/agent/tagged.py)."""
    return (
        f"JOIN_MINUTES={limits.join_minutes} IDLE_MINUTES={limits.idle_minutes} "
        f"MAX_HOURS={limits.max_hours:g}"
    )


def guid(*parts: str) -> str:
    """The same GUID for the same parts; names role assignments and definitions."""
    return str(uuid5(NAMESPACE_URL, "savanna/" + "/".join(parts)))
