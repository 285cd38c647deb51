"""From a request to a finished run, on Ray Tune. Importing this is cheap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from savanna.session.request import TrainRequest

if TYPE_CHECKING:
    from savanna.runs.directory import RunDirectory

__all__ = ["TrainRequest", "dry_run", "train"]


def train(request: TrainRequest) -> list[RunDirectory]:
    """Run what `request` asks for; see `savanna.session.command.train`."""
    from savanna.session.command import train as run

    return run(request)


def dry_run(request: TrainRequest) -> dict[str, Any]:
    """What `train(request)` would do, as the content of `config.json`; trains nothing."""
    from savanna.session.command import dry_run as describe

    return describe(request)
