"""Replacing files in one step: a reader sees either the whole old file or the whole new one."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Error numbers that mean that there is no space left."""

_DAY = 86_400.0
_MINUTE = 60.0
_LOCKED = "savanna-run-"
_temporary: set[Path] = set()


@contextlib.contextmanager
def replacing(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """A temporary path to write to; at the end of the block, it replaces `target`.

    If the block fails, `target` is unchanged and the temporary file is deleted. What a killed
    process left behind is deleted the next time. A new file gets its mode from the umask, an
    existing one keeps its mode. With `durable`, the file survives a power cut.
    """
    target = Path(os.path.realpath(target))  # a link stays a link
    _delete_leftovers(target)
    writer = f"{socket.gethostname()}-{os.getpid()}-{threading.get_native_id()}"
    temporary = target.with_name(f".{target.name}.{writer}.tmp")
    try:
        yield temporary
        with contextlib.suppress(OSError):  # a new file, or a file system without modes
            temporary.chmod(target.stat().st_mode)
        if durable:
            sync(temporary)
        temporary.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.filename in (None, str(temporary)):
            error.filename = str(target)
        raise
    if durable:
        with contextlib.suppress(OSError):  # not every file system supports it
            sync(target.parent)


def replace_text(target: Path, text: str, *, durable: bool = False) -> None:
    """Make `text` the content of `target`."""
    with replacing(target, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def replace_json(target: Path, content: Any, *, durable: bool = False) -> None:
    """Make `content` the content of `target`."""
    replace_text(target, _json(content), durable=durable)


def overwrite_json(target: Path, content: Any) -> None:
    """Write into the file itself: a full disk has no space for a second one."""
    with target.open("r+", encoding="utf-8") as handle:
        handle.write(_json(content))
        handle.truncate()


def _json(content: Any) -> str:
    return json.dumps(content, indent=2) + "\n"


def sync(path: Path) -> None:
    """Wait until a file, or the list of a folder's files, is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextlib.contextmanager
def temporary_folder(prefix: str = "") -> Iterator[Path]:
    """An empty folder, deleted after the block, by `delete_temporary` before, or, if this process
    is killed, by the next call on this machine."""
    _delete_abandoned()
    with tempfile.TemporaryDirectory(prefix=_LOCKED + prefix, ignore_cleanup_errors=True) as folder:
        handle = os.open(folder, os.O_RDONLY)
        _temporary.add(Path(folder))
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # until it is closed, at the latest with the process
            yield Path(folder)
        finally:
            _temporary.discard(Path(folder))
            os.close(handle)


def _delete_abandoned() -> None:
    for left in Path(tempfile.gettempdir()).glob(f"{_LOCKED}*"):
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime < _MINUTE:
                continue  # its owner may not have locked it yet
            handle = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(handle)


def is_temporary(file: Path) -> None:
    """Let `delete_temporary` delete `file`, if it is still there."""
    _temporary.add(file)


def delete_temporary() -> None:
    """Delete what is temporary: the process ends without leaving its blocks."""
    for path in list(_temporary):
        with contextlib.suppress(OSError):
            path.unlink() if path.is_file() else shutil.rmtree(path)


def make_writable(folder: Path) -> None:
    """Create `folder` if it does not exist; `OSError` if no file can be created in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError), replacing(folder / "probe") as temporary:
        temporary.touch()
        temporary.unlink()


def _delete_leftovers(target: Path) -> None:
    for left in target.parent.glob(f".{glob.escape(target.name)}.*-*-*.tmp"):
        host, pid, _ = left.name.removesuffix(".tmp").rsplit("-", 2)
        with contextlib.suppress(OSError):
            here = host.endswith(f".{socket.gethostname()}")
            if is_gone(int(pid)) if here else time.time() - left.stat().st_mtime > _DAY:
                left.unlink()


def is_gone(pid: int) -> bool:
    """Whether there is no process `pid` on this machine."""
    import psutil

    return not psutil.pid_exists(pid)
