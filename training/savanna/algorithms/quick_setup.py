"""Shortcuts for what RLlib and torch do slowly while env runners and learners are built."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from ray.rllib.connectors import connector_v2

_COMPILER = "torch._dynamo"


def quick_setup() -> None:
    """Spare this process and its forks three detours, which cost seconds at every start.

    Nothing here compiles networks, but optimizers import torch's compiler to opt out of it, and so
    does turning on deterministic algorithms, as seeding does. And every connector fetches the whole
    stack, source lines included, to find the frame that created it.
    """
    if _COMPILER not in sys.modules:
        sys.modules[_COMPILER] = _Compiler(_COMPILER)
    torch.use_deterministic_algorithms = _use_deterministic_algorithms
    connector_v2.inspect = SimpleNamespace(getargvalues=inspect.getargvalues, stack=_stack)


class _Compiler(ModuleType):
    """Stands in for torch's compiler until it is asked for more than to opt out."""

    @staticmethod
    def disable(function: Callable[..., Any], *_: Any, **__: Any) -> Callable[..., Any]:
        return function

    @staticmethod
    def graph_break(*_: Any) -> None:
        """Do nothing: nothing is compiled."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__path__":  # `inspect` asks every module for its file
            raise AttributeError(name)
        if sys.modules.get(_COMPILER) is self:
            del sys.modules[_COMPILER]
        return getattr(importlib.import_module(_COMPILER), name)


_torch_does = torch.use_deterministic_algorithms


def _use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    if "torch._inductor" in sys.modules:
        _torch_does(mode, warn_only=warn_only)
    else:
        torch.set_deterministic_debug_mode(0 if not mode else 1 if warn_only else 2)


def _stack() -> list[SimpleNamespace]:
    """Like `inspect.stack()`, but only two callers: a connector reads the second."""
    caller = sys._getframe(1)
    return [SimpleNamespace(frame=caller), SimpleNamespace(frame=caller.f_back)]
