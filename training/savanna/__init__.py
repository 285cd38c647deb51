"""Savanna's training package: reinforcement learning on Ray RLlib, one machine or many.

From Python, as docs/python.md tells: `train`, `load`, `list_runs`, and what they raise in `errors`.
Importing this is cheap.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from savanna import errors

if TYPE_CHECKING:
    from savanna.api import list_runs, load, train

__version__ = "0.1.0"

__all__ = ["errors", "list_runs", "load", "train"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("savanna.api"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
