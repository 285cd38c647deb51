"""TensorBoard events; the step of every scalar is `agent_steps`."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savanna.metrics import IterationResult
from savanna.runs.directory import RunDirectory

if TYPE_CHECKING:
    from tensorboardX import SummaryWriter

FLUSH_SECONDS = 10
GROUPS = {
    "return": ("episode_return_mean", "episode_return_min", "episode_return_max"),
    "episodes": ("episode_length_mean", "episodes_total"),
    "throughput": ("sampled_per_second", "trained_per_second", "agent_steps_trained"),
    "machine": ("cpu_percent", "memory_percent"),
    "progress": ("iteration", "seconds"),
}
"""TensorBoard's cards; every other metric is in `learner`."""

_GROUP_OF = {name: group for group, names in GROUPS.items() for name in names}


class TensorBoardEvents:
    """Writes `<run>/tensorboard`. Resuming hides the points that the resumed run writes again."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._resumed = False
        self._writer: SummaryWriter | None = None

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        self._folder, self._resumed = run.path / "tensorboard", resumed

    def record(self, result: IterationResult) -> None:
        if self._folder is None:
            raise RuntimeError("record() before start()")
        step = result.agent_steps
        if self._writer is None:
            from tensorboardX import SummaryWriter

            purge = step if self._resumed else None
            self._writer = SummaryWriter(
                str(self._folder),
                purge_step=purge,
                flush_secs=FLUSH_SECONDS,
                # Parts of a run that start in the same second must not share a file.
                filename_suffix=f".{result.iteration:09d}",
            )
        for name, value in result.as_row().items():
            if name != "agent_steps" and math.isfinite(value):
                self._writer.add_scalar(tag(name), value, step)

    def finish(self, status: dict[str, Any]) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def tag(name: str) -> str:
    """The TensorBoard tag of a metric: `return/episode_return_mean`."""
    return f"{_GROUP_OF.get(name, 'learner')}/{name}"
