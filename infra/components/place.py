"""Location and tags of resources: the same for a whole program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Place:
    """The first argument of almost every component."""

    prefix: str  # of names that need not be unique beyond the resource group
    group: pulumi.Input[str]  # resource group
    location: str
    tags: Mapping[str, str]
