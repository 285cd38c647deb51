"""Values as users write them: `key=value`, durations."""

from __future__ import annotations

import ast
import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from savanna.errors import UsageError
from savanna.next_command import DEFAULT_ROOT

_UNITS = {"": 1, "s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


def duration(text: str) -> float:
    """`90`, `90s`, `10m`, `1.5h` -> seconds."""
    match = re.fullmatch(r"([\d.]+)\s*([a-z]*)", text.strip())
    try:
        if match is None:
            raise ValueError
        return float(match[1]) * _UNITS[match[2]]
    except (KeyError, ValueError) as error:
        raise UsageError(f"{text!r} is no duration; write 3600, 90s, 10m or 2h") from error


def pairs(option: str, given: Sequence[str]) -> dict[str, str]:
    """`["a=1", "b=2"]` -> `{"a": "1", "b": "2"}`; all malformed ones in one error."""
    bad = [word for word in given if "=" not in word or word.startswith("=")]
    if bad:
        raise UsageError("\n".join(f"{option} {word}: write it as key=value." for word in bad))
    return {key.strip(): value for key, _, value in (word.partition("=") for word in given)}


def literal(text: str) -> Any:
    """A JSON or Python literal (`1e-4`, `true`, `None`, `[1, 2]`), or the text itself."""
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError):
            continue
    return text


def seeds(text: str) -> int | tuple[int, ...]:
    """`5` (how many) or `1,2,7` (which)."""
    try:
        numbers = tuple(int(word) for word in text.split(","))
    except ValueError as error:
        raise UsageError(
            f"--seeds {text}: write how many, as in --seeds 5, or which, as in --seeds 1,2,7"
        ) from error
    return numbers if "," in text else numbers[0]


def path(text: str) -> Path:
    """A path in which `~` is home; the shell leaves it alone after an equals sign."""
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise UsageError(f"{text}: {error}") from error


def runs_root(given: str | Path | None = None) -> Path:
    """The folder of the runs: `given`, else that of SAVANNA_RUNS_ROOT, which the images set."""
    return path(str(given or os.environ.get("SAVANNA_RUNS_ROOT") or DEFAULT_ROOT))


def stop_rules(given: Sequence[str]) -> tuple[dict[str, float], bool]:
    """Rules of `--stop`, and whether the experiment's own stay; `--stop none` drops those."""
    keep = "none" not in given
    rules, bad = {}, []
    for key, value in pairs("--stop", [word for word in given if word != "none"]).items():
        try:
            rules[key] = float(value)
        except ValueError:
            bad.append(f"--stop {key}={value}: not a number.")
    if bad:
        raise UsageError("\n".join(bad))
    return rules, keep
