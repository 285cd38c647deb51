"""`--set key=value`: checked against the algorithm's config before it is applied."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

from savanna.envs.families import environment_of
from savanna.errors import UsageError

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

NESTED = {
    "env_config": "env_config",
    "model_config": "_model_config",
    "replay_buffer_config": "replay_buffer_config",
}
"""Settings that are dictionaries, and the config attribute that holds each."""

OPTIONS = {"env": "--env", "seed": "--seed"}
"""Settings that are set by an option instead, and that option."""


def apply_overrides(config: AlgorithmConfig, overrides: Mapping[str, Any]) -> None:
    """Set every key on `config`; `UsageError` lists all problems before anything is set."""
    problems = [p for key, value in overrides.items() if (p := problem(config, key, value))]
    if problems:
        raise UsageError("\n".join(problems))
    for key, value in overrides.items():
        outer, _, inner = key.partition(".")
        if inner:
            attribute = NESTED[outer]
            setattr(config, attribute, {**nested(config, outer), inner: value})
        else:
            setattr(config, key, value)


def problem(config: AlgorithmConfig, key: str, value: Any) -> str | None:
    """What is wrong with one setting, in one line; `None` if nothing is."""
    outer, _, inner = key.partition(".")
    if outer in NESTED and not inner:
        return f"--set {key}: give its settings one by one, as --set {outer}.NAME=VALUE."
    if key in OPTIONS:
        return f"--set {key}: use {OPTIONS[key]} instead."
    if not _finite(value):
        return f"--set {key}={value}: must be finite."
    if inner:
        if not hasattr(config, NESTED.get(outer, "")):
            there = " and ".join(name for name in NESTED if hasattr(config, NESTED[name]))
            return f"--set {key}: {outer!r} has no nested settings; only {there} do."
        if outer == "env_config" and environment_of({"env": config.env}).own_keywords:
            return None  # of any type; its constructor has been asked (savanna.planning.checks)
        known = {**(getattr(config, outer, None) or {}), **nested(config, outer)}
        current = known.get(inner)
        if inner not in known:
            return f"--set {key}: unknown setting.{_hint(inner, known, outer + '.')}"
    else:
        known = settable(config)
        if key not in known:
            return f"--set {key}: unknown setting.{_hint(key, known)}"
        current = known[key]
    if not _same_kind(current, value):
        return (
            f"--set {key}={value}: expected {_kind(current)} such as {current!r}, "
            f"not {_kind(value)}."
        )
    return None


def settable(config: AlgorithmConfig) -> dict[str, Any]:
    """The settings that are plain values, by name."""
    plain = (bool, int, float, str, list, tuple, type(None))
    known = {_public(config, name): value for name, value in vars(config).items()}
    return {
        name: value
        for name, value in known.items()
        if not name.startswith("_") and isinstance(value, plain)
    }


def _public(config: AlgorithmConfig, name: str) -> str:
    """`train_batch_size_per_learner` for `_train_batch_size_per_learner`: RLlib hides a few."""
    seen = getattr(type(config), name.removeprefix("_"), None)
    return name.removeprefix("_") if isinstance(seen, property) and seen.fset else name


def nested(config: AlgorithmConfig, outer: str) -> dict[str, Any]:
    """The settings in `outer`, one of `NESTED`."""
    value: Any = getattr(config, NESTED[outer], None)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return dict(value or {})


def _hint(name: str, known: Mapping[str, Any], prefix: str = "") -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {prefix + close[0]!r}?" if close else ""


def _same_kind(current: Any, value: Any) -> bool:
    if current is None or value is None:
        return True
    if current == "auto":
        return isinstance(value, (str, int, float)) and not isinstance(value, bool)
    if isinstance(current, bool) or isinstance(value, bool):
        return isinstance(current, bool) and isinstance(value, bool)
    numbers = (int, float)
    if isinstance(current, int) and isinstance(value, float):
        return (value.is_integer() is False and current in (0, 1)) or value.is_integer()
    if isinstance(current, numbers):
        return isinstance(value, (*numbers, list))  # a list is a schedule
    if isinstance(current, (list, tuple)):
        return isinstance(value, (list, tuple, *numbers))
    return isinstance(value, type(current))


def _finite(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return all(map(_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _kind(value: Any) -> str:
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if value == "auto":
        return "a number or text"
    return names.get(type(value), "a list" if isinstance(value, (list, tuple)) else "a value")
