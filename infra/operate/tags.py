"""Tags of single resources, set without an update of the whole, which spot machines refuse."""

from __future__ import annotations

from collections.abc import Mapping

from infra.operate.tools import az


def set_tags(resource_id: str, tags: Mapping[str, str]) -> None:
    """Set these tags and keep all others."""
    az(
        "tag",
        "update",
        "--resource-id",
        resource_id,
        "--operation",
        "Merge",
        "--tags",
        *(f"{name}={value}" for name, value in tags.items()),
    )
