"""What resources are called and how they are tagged. Pure functions."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from infra.config.settings import ClusterSettings, FoundationSettings

PROJECT_TAG = "savanna-project"


def prefix(settings: ClusterSettings | FoundationSettings) -> str:
    """What the name of every resource in a resource group starts with."""
    return f"{settings.name}-{settings.stack}"


def tags(settings: ClusterSettings | FoundationSettings) -> dict[str, str]:
    """On everything that takes tags. The foundation does not expire."""
    expires = settings.expires if isinstance(settings, ClusterSettings) else "never"
    return {
        PROJECT_TAG: settings.name,
        "savanna-stack": settings.stack,
        "savanna-owner": settings.owner,
        "savanna-expires": expires,
    }


def guid(*parts: str) -> str:
    """The same GUID for the same parts: role assignments and definitions are named by one."""
    return str(uuid5(NAMESPACE_URL, "savanna/" + "/".join(parts)))
