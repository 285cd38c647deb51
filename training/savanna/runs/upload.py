"""Copying what changed in a run directory to its place in the storage."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from savanna.runs.directory import DISCARDED

BACKUP = ".backup"
"""Folder in a run's place in the storage with second copies of `PRECIOUS`."""

PRECIOUS = (
    "config.json",
    "metadata.json",
    "status.json",
    "metrics.csv",
    "checkpoints.json",
    "evaluations.json",
)
"""Files without which a run cannot be resumed or reported as it was."""


class Upload:
    """Knows which state of the files of `run` (local) is at `target` already."""

    def __init__(self, storage: Any, run: Path, target: str) -> None:
        self._filesystem = storage.filesystem
        self._run, self._target = run, f"{storage.path}/{target}"
        self._sent: dict[Path, tuple[int, int]] = {}
        self._folders: set[str] = set()

    def changed_files(self, *, checkpoints: bool) -> Iterator[Path]:
        """Copy each file that changed since the last time, and yield it.

        Ray Tune puts checkpoints there itself. `checkpoints` copies those too that are missing
        there: a run that is resumed with another storage has some.
        """
        for root, folders, files in os.walk(self._run):
            if Path(root) == self._run:
                folders[:] = [
                    f
                    for f in folders
                    if f != DISCARDED
                    and (not f.startswith("checkpoint_") or (checkpoints and self._is_missing(f)))
                ]
            for name in files:
                file = Path(root) / name
                if name.startswith("."):
                    continue
                try:
                    state = (file.stat().st_mtime_ns, file.stat().st_size)
                    if self._sent.get(file) == state:
                        continue
                    self._send(file)
                except FileNotFoundError:  # replaced or deleted in this moment
                    if file.exists():
                        raise
                    continue
                self._sent[file] = state
                yield file

    def _send(self, file: Path) -> None:
        relative = file.relative_to(self._run)
        if str(relative) in PRECIOUS:
            # Opening a blob for writing empties it until it is closed: were this process killed
            # in between, the only copy would be gone.
            self._copy(file, f"{BACKUP}/{relative}")
        self._copy(file, str(relative))

    def _copy(self, file: Path, relative: str) -> None:
        import pyarrow.fs

        target = f"{self._target}/{relative}"
        folder = target.rpartition("/")[0]
        # Azure needs no folders, and would make a container that is gone anew.
        if self._filesystem.type_name != "abfs" and folder not in self._folders:
            self._filesystem.create_dir(folder, recursive=True)
            self._folders.add(folder)
        pyarrow.fs.copy_files(
            str(file),
            target,
            source_filesystem=pyarrow.fs.LocalFileSystem(),
            destination_filesystem=self._filesystem,
            use_threads=False,
        )

    def _is_missing(self, name: str) -> bool:
        import pyarrow.fs

        found = self._filesystem.get_file_info(f"{self._target}/{name}")
        return bool(found.type == pyarrow.fs.FileType.NotFound)
