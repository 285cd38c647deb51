"""TensorBoard events; the step of every scalar is `agent_steps`."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savanna.metrics import IterationResult
from savanna.runs.directory import RunDirectory

if TYPE_CHECKING:
    from tensorboardX.event_file_writer import EventsWriter

FLUSH_SECONDS = 10
GROUPS = {
    "return": ("episode_return_mean", "episode_return_min", "episode_return_max"),
    "episodes": ("episode_length_mean", "episodes_total"),
    "throughput": ("sampled_per_second", "trained_per_second", "agent_steps_trained"),
    "machine": ("cpu_percent", "memory_percent"),
    "progress": ("iteration", "seconds"),
}
"""Cards of TensorBoard; every other metric is in `learner`."""

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


class TensorBoardEvents:
    """Writes `<run>/tensorboard`. Resuming hides the points that the resumed run writes again.

    Not by tensorboardX's `SummaryWriter`: its thread dies where the disk is full, and whoever adds
    to its queue then waits for ever.
    """

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._resumed = False
        self._writer: EventsWriter | None = None
        self._flushed = -math.inf

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        self._folder, self._resumed = run.path / "tensorboard", resumed

    def record(self, result: IterationResult) -> None:
        if self._folder is None:
            raise RuntimeError("record() before start()")
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.proto.summary_pb2 import Summary

        if self._writer is None:
            self._writer = self._open(self._folder, result)
        values = [
            Summary.Value(tag=tag(name), simple_value=value)
            for name, value in result.as_row().items()
            if name != "agent_steps" and math.isfinite(value)
        ]
        summary = Summary(value=values)
        self._writer.write_event(
            Event(wall_time=time.time(), step=result.agent_steps, summary=summary)
        )
        if time.monotonic() - self._flushed >= FLUSH_SECONDS:
            self._writer.flush()
            self._flushed = time.monotonic()

    def finish(self, status: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _open(self, folder: Path, first: IterationResult) -> EventsWriter:
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        folder.mkdir(exist_ok=True)
        # Parts of a run that begin in the same second must not share a file.
        writer = EventsWriter(str(folder / "events"), f".{first.iteration:09d}")
        if self._resumed:
            start = SessionLog(status=SessionLog.START)
            writer.write_event(
                Event(wall_time=time.time(), step=first.agent_steps, session_log=start)
            )
        return writer


def tag(name: str) -> str:
    """The TensorBoard tag of a metric: `return/episode_return_mean`."""
    return f"{_GROUP_OF.get(name, 'learner')}/{name}"
