"""Using a trained policy: evaluating, filming, exporting. Importing this is cheap."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from savanna.evaluation.evaluations import evaluate
    from savanna.evaluation.onnx_export import export
    from savanna.evaluation.policy import load_policy
    from savanna.evaluation.video import record_video

__all__ = ["evaluate", "export", "load_policy", "record_video"]

_MODULES = {
    "evaluate": "evaluations",
    "export": "onnx_export",
    "load_policy": "policy",
    "record_video": "video",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
