"""Limits that may change while the machine runs, so they are in a tag of it and not in boot data.

The metadata service shows a changed tag of a machine without a restart. Until the tag has been
read, the values in /etc/savanna/node.env apply: the settings' defaults.
"""

from __future__ import annotations

from math import isfinite

from . import cloud

TAG = "savanna-limits"
NAMES = ("JOIN_MINUTES", "IDLE_MINUTES", "MAX_HOURS")


def limits() -> dict[str, float]:
    """The limits that apply now. A part of the tag that makes no sense is ignored."""
    found = {name: float(cloud.setting(name)) for name in NAMES}
    for part in cloud.tags().get(TAG, "").split():
        name, _, text = part.partition("=")
        value = _number(text)
        if name in found and value is not None:
            found[name] = value
    return found


def join_minutes() -> str:
    """For node.sh."""
    return f"{limits()['JOIN_MINUTES']:g}"


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
