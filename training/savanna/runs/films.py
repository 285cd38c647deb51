"""The films of a run, by their names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from savanna.runs.checkpoints import CheckpointInfo
from savanna.runs.directory import RunDirectory


def film_iteration(film: Path) -> int:
    """The iteration after which a film of training was made: `episode-E-iteration-I.mp4`."""
    return int(film.stem.rpartition("-")[2])


def films_after(run: RunDirectory, to: CheckpointInfo, checkpoints: Iterable[str]) -> list[Path]:
    """Films and posters made after `to`: during training, or of the later `checkpoints` (folder
    names). If there are any, also those that show several states side by side."""
    names = [name.replace("_", "-") for name in checkpoints]  # as `record_video` calls them

    def is_later(file: Path) -> bool:
        in_training = file.stem.startswith("episode-")
        return file.stem in names or (in_training and film_iteration(file) > to.iteration)

    files = sorted(run.videos.glob("*")) if run.videos.is_dir() else []
    later = [file for file in files if is_later(file)]
    several = [file for file in files if not file.stem.startswith(("episode-", "checkpoint-"))]
    return later + several if later else []
