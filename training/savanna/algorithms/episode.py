"""What is known about a finished episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Episode(NamedTuple):
    """A finished episode, whole: it may have begun in an earlier fragment."""

    episode_return: float  # true rewards, not clipped, of all agents
    length: int  # steps
    metrics: Mapping[str, float] = {}  # what else the environment measures; never changed
