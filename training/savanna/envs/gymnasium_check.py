"""The assertions and warnings of Gymnasium's own checker, as plain lines."""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection
from typing import Any

import gymnasium as gym
from gymnasium.utils.env_checker import check_env

_OURS = (
    (r"boolean", ("flags",)),
    (r"step API|tuple", ("play",)),
    (r"Casting", ("observations",)),
    (r"reward", ("numbers",)),
    (r"NaN|isnan|inf value", ("numbers",)),
    (r"determinis|random|np_random|equivalent|equal although", ("seeds", "isolation")),
    (r"obs|observation", ("observations", "numbers", "spaces")),
    (r"action", ("spaces",)),
)
"""Words in its messages, and which of our checks report the same more precisely."""


def gymnasium_findings(env: gym.Env[Any, Any], found: Collection[str]) -> list[tuple[str, str]]:
    """("warning", message) pairs: training does not need what our checks have not found.

    Omits what the checks named in `found` have already reported. Checks the environment without
    its wrappers, as Gymnasium demands; rendering and closing have their own checks.
    """
    said: list[tuple[str, str]] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)
        except Exception as error:  # its assertions, and whatever the user's code raises
            if "play" not in found:
                said.append(("warning", _plain(str(error) or type(error).__name__)))
    for warning in caught:
        text = _plain(str(warning.message))
        if text.startswith(("WARN: ", "ERROR: ")):
            said.append(("warning", text.partition(": ")[2]))
    return [pair for pair in dict.fromkeys(said) if not _known(pair[1], found)]


def _known(text: str, found: Collection[str]) -> bool:
    for words, checks in _OURS:
        if re.search(words, text):
            return any(check in found for check in checks)
    return False


def _plain(text: str) -> str:
    """One line without colours or links to web pages; duplicates get the same wording."""
    text = " ".join(re.sub(r"\x1b\[[\d;]*m", "", text).split()).replace("`Env.reset`", "reset")
    text = re.sub(r" Actual default: .*$", "", text)
    return re.sub(r" (See|We recommend|More info)\b.*https?://\S+.*$", "", text)
