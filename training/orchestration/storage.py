"""Where checkpoints go: a local folder, or any location that pyarrow or fsspec can open."""

from __future__ import annotations

import contextlib
import os
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.errors import UsageError

if TYPE_CHECKING:
    from training.run_directory import RunDirectory


def open_storage(location: str) -> tuple[Any, str]:
    """The pyarrow filesystem and path of `location`; `UsageError` unless it can be written to."""
    import pyarrow
    import pyarrow.fs

    try:
        from ray.train._internal.storage import get_fs_and_path

        location = location if "://" in location else str(Path(location).resolve())
        filesystem, path = get_fs_and_path(location)
        filesystem.create_dir(path, recursive=True)
        probe = f"{path}/.savanna-{uuid.uuid4().hex}"
        with filesystem.open_output_stream(probe) as stream:
            stream.write(b"probe")
        filesystem.delete_file(probe)
    except (OSError, ValueError, ImportError, pyarrow.ArrowException) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UsageError(f"cannot write to the storage {location!r}: {reason}") from error
    return filesystem, path


class Mirror:
    """Keeps a copy of a local run directory's small files beside its remote checkpoints."""

    def __init__(self, filesystem: Any, path: str, run: RunDirectory) -> None:
        self._filesystem, self._path, self._run = filesystem, path, run

    def push(self) -> None:
        """Copy everything but the checkpoints, which Ray Tune has put there itself."""
        import pyarrow.fs

        local = pyarrow.fs.LocalFileSystem()
        for root, folders, files in os.walk(self._run.path):
            folders[:] = [f for f in folders if not f.startswith("checkpoint_")]
            relative = os.path.relpath(root, self._run.path)
            target = self._path if relative == "." else f"{self._path}/{relative}"
            self._filesystem.create_dir(target, recursive=True)
            for name in files:
                if name.startswith("."):
                    continue
                with contextlib.suppress(FileNotFoundError):
                    pyarrow.fs.copy_files(
                        f"{root}/{name}",
                        f"{target}/{name}",
                        source_filesystem=local,
                        destination_filesystem=self._filesystem,
                        use_threads=False,
                    )
