"""What a trained policy is worth: evaluating, filming, exporting. Importing this is cheap."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from savanna.evaluation.measure import Evaluation
    from savanna.evaluation.policy import Policy
    from savanna.runs.directory import RunDirectory

__all__ = ["evaluate", "export", "load_policy", "record_video"]


def evaluate(run: RunDirectory, which: str = "best", **options: Any) -> list[Evaluation]:
    """See `savanna.evaluation.measure.evaluate`."""
    from savanna.evaluation.measure import evaluate as measure

    return measure(run, which, **options)


def record_video(run: RunDirectory, which: str = "best", **options: Any) -> Path:
    """See `savanna.evaluation.video.record_video`."""
    from savanna.evaluation.video import record_video as record

    return record(run, which, **options)


def export(run: RunDirectory, which: str = "best", **options: Any) -> Path:
    """See `savanna.evaluation.onnx_export.export`."""
    from savanna.evaluation.onnx_export import export as write

    return write(run, which, **options)


def load_policy(checkpoint: Path) -> Policy:
    """See `savanna.evaluation.policy.load_policy`."""
    from savanna.evaluation.policy import load_policy as load

    return load(checkpoint)
