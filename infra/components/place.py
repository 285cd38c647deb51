"""Where resources go and how they are marked: the same for all of a program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Place:
    """Every component's arguments start with one."""

    prefix: str  # of names that need not be unique beyond the resource group
    group: pulumi.Input[str]  # resource group
    location: str
    tags: Mapping[str, str]
