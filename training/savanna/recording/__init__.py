"""Recorders: each consumes the typed result of every iteration. Importing this is cheap."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from savanna.recording.console import Console
from savanna.recording.metrics_csv import MetricsCsv
from savanna.recording.mlflow_tracking import MlflowTracking
from savanna.recording.recorder import Recorder
from savanna.recording.tensorboard import TensorBoardEvents
from savanna.streams import messages

__all__ = [
    "Console",
    "MetricsCsv",
    "MlflowTracking",
    "Recorder",
    "TensorBoardEvents",
    "default_recorders",
]


def default_recorders(
    plan: dict[str, Any], *, stop: Mapping[str, float], max_duration: float | None = None
) -> list[Recorder]:
    """Console first, then `metrics.csv`, TensorBoard and MLflow.

    `plan` is the content of `config.json`; the run stops at `stop` and `max_duration` (seconds).
    """
    several = int((plan.get("options") or {}).get("runs") or 1) > 1
    console = Console(messages(), stop=stop, max_duration=max_duration, shared=several)
    return [console, MetricsCsv(), TensorBoardEvents(), MlflowTracking(console.message)]
