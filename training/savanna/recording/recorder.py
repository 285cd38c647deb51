"""What a recorder is: a consumer of the typed result of every iteration."""

from __future__ import annotations

from typing import Any, Protocol

from savanna.metrics import IterationResult
from savanna.runs.directory import RunDirectory


class Recorder(Protocol):
    """Gets every iteration of one run, in order: one `start`, many `record`, one `finish`."""

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        """The run directory exists; `config` is the content of its `config.json`.

        `resumed`: the directory holds an earlier part of the same run, and iterations after the
        checkpoint that it continues from will come again.
        """

    def record(self, result: IterationResult) -> None:
        """One iteration has ended."""

    def finish(self, status: dict[str, Any]) -> None:
        """The run has ended; `status` is the content of its `status.json`."""
