"""Names and tags of resources. Pure functions."""

from __future__ import annotations

from uuid import NAMESPACE_URL, uuid5

from infra.config.settings import ClusterSettings, FoundationSettings

PROJECT_TAG = "savanna-project"


def prefix(settings: ClusterSettings | FoundationSettings) -> str:
    """The prefix of the names of all resources in a resource group."""
    return f"{settings.name}-{settings.stack}"


def tags(settings: ClusterSettings | FoundationSettings) -> dict[str, str]:
    """Tags for everything that accepts tags. The foundation does not expire."""
    expires = settings.expires if isinstance(settings, ClusterSettings) else "never"
    return {
        PROJECT_TAG: settings.name,
        "savanna-stack": settings.stack,
        "savanna-owner": settings.owner,
        "savanna-expires": expires,
    }


def guid(*parts: str) -> str:
    """The same GUID for the same parts; names role assignments and definitions."""
    return str(uuid5(NAMESPACE_URL, "savanna/" + "/".join(parts)))
