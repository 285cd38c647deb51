"""Copying a run directory, as it is now, to the storage. Runs in the storage process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from savanna.runs.checkpoints import DISCARDED, MANIFEST, number_of

BACKUP = ".backup"
"""Folder of a run in the storage with second copies of `PRECIOUS`."""

PRECIOUS = ("config.json", "metadata.json", "status.json", "metrics.csv", "evaluations.json")
"""Files without which a run cannot be resumed or reported as it was."""


class Upload:
    """Makes `target` in `storage` a copy of `run` (local), and knows what is there already.

    A checkpoint exists there if its manifest does, which is sent last and deleted first. What is
    deleted here is deleted there: checkpoints that are not kept, and files that were sent.
    """

    def __init__(self, storage: Any, run: Path, target: str) -> None:
        self._filesystem = storage.filesystem
        self._run, self._target = run, f"{storage.path}/{target}"
        self._sent: dict[str, tuple[int, int]] = {}
        self._folders: set[str] = set()
        self._checkpoints: set[str] | None = None  # whole ones in the storage

    def steps(self) -> Iterator[str]:
        """Do what is needed, file by file. Before each, yields what is left to do, as text.

        `FileNotFoundError` where the run's folder has gone: the copy may be all there is.
        """
        if not (self._run / "config.json").is_file():
            raise FileNotFoundError(f"the run's folder has gone: {self._run}")
        there = self._whole_there()
        here = {p.name for p in self._run.glob("checkpoint_*") if number_of(p.name) is not None}
        new = sorted(here - there)
        changed = [name for name in self._others() if self._state(name) != self._sent.get(name)]
        while changed or new:
            parts = [f"{len(changed)} files" if changed else "", *new]
            yield ", ".join(part.replace("_", " ") for part in parts if part)
            # Small files first: they say what a checkpoint is worth.
            if changed:
                self._send(changed.pop(0))
            else:
                self._send_checkpoint(new[0])
                there.add(new.pop(0))
        for name in sorted(there - here):
            yield f"deleting {name}"
            self._delete_checkpoint(name)
            there.discard(name)
        for name in [name for name in self._sent if not (self._run / name).exists()]:
            self._delete(name)
            del self._sent[name]

    def _others(self) -> list[str]:
        """Names of the files that are not in checkpoints, hidden or discarded."""
        found = []
        for file in sorted(self._run.rglob("*")):
            name = file.relative_to(self._run)
            top = name.parts[0]
            left_out = top == DISCARDED or number_of(top) is not None
            if not left_out and not any(part.startswith(".") for part in name.parts):
                found += [str(name)] if file.is_file() else []
        return found

    def _state(self, name: str) -> tuple[int, int] | None:
        try:
            found = (self._run / name).stat()
        except FileNotFoundError:
            return None
        return found.st_mtime_ns, found.st_size

    def _send(self, name: str) -> None:
        state = self._state(name)
        if state is None:  # just deleted
            return
        try:
            if name in PRECIOUS:
                # A blob opened for writing is empty until it is closed. If this process were
                # killed in between, the only copy would be lost.
                self._copy(name, f"{BACKUP}/{name}")
            self._copy(name, name)
        except FileNotFoundError:
            if (self._run / name).exists():
                raise
            return
        self._sent[name] = state

    def _send_checkpoint(self, name: str) -> None:
        folder = self._run / name
        try:
            files = sorted((f for f in folder.rglob("*") if f.is_file()), key=_manifest_last)
            for file in files:
                relative = str(file.relative_to(self._run))
                self._copy(relative, relative)
        except FileNotFoundError:
            if folder.exists():
                raise
            self._delete_checkpoint(name)  # no longer kept

    def _whole_there(self) -> set[str]:
        if self._checkpoints is None:
            import pyarrow.fs

            selector = pyarrow.fs.FileSelector(self._target, allow_not_found=True)
            names = [f.base_name for f in self._filesystem.get_file_info(selector)]
            names = [name for name in names if number_of(name) is not None]
            paths = [f"{self._target}/{name}/{MANIFEST}" for name in names]
            infos = self._filesystem.get_file_info(paths) if paths else []
            missing = pyarrow.fs.FileType.NotFound
            self._checkpoints = {
                name for name, info in zip(names, infos, strict=True) if info.type != missing
            }
        return self._checkpoints

    def _delete_checkpoint(self, name: str) -> None:
        self._delete(f"{name}/{MANIFEST}")
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.delete_dir(f"{self._target}/{name}")

    def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            self._filesystem.delete_file(f"{self._target}/{name}")

    def _copy(self, name: str, to: str) -> None:
        import pyarrow.fs

        target = f"{self._target}/{to}"
        folder = target.rpartition("/")[0]
        # Azure needs no folders, and would recreate a deleted container.
        if self._filesystem.type_name != "abfs" and folder not in self._folders:
            self._filesystem.create_dir(folder, recursive=True)
            self._folders.add(folder)
        pyarrow.fs.copy_files(
            str(self._run / name),
            target,
            source_filesystem=pyarrow.fs.LocalFileSystem(),
            destination_filesystem=self._filesystem,
            use_threads=False,
        )


def _manifest_last(file: Path) -> tuple[bool, str]:
    return file.name == MANIFEST, str(file)
