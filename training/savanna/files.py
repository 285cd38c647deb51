"""Files that are replaced in one step: whoever reads sees the old one or the new one, whole."""

from __future__ import annotations

import contextlib
import errno
import glob
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Numbers of the errors that say that there is no room."""

_DAY = 86_400.0


@contextlib.contextmanager
def replacing(target: Path, *, durable: bool = False) -> Iterator[Path]:
    """A path to write to: what is there at the end of the block takes the place of `target`.

    Nothing changes and nothing is left if the block fails. What a killed process left is deleted
    the next time. The umask holds for new files, and those there are keep their mode. `durable`:
    not even a power cut loses it.
    """
    target = Path(os.path.realpath(target))  # a link stays one
    _delete_leftovers(target)
    writer = f"{socket.gethostname()}-{os.getpid()}-{threading.get_native_id()}"
    temporary = target.with_name(f".{target.name}.{writer}.tmp")
    try:
        yield temporary
        with contextlib.suppress(OSError):  # it is new, or the file system has no modes
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
        with contextlib.suppress(OSError):  # not every file system knows it
            sync(target.parent)


def replace_text(target: Path, text: str, *, durable: bool = False) -> None:
    """Make `text` the content of `target`."""
    with replacing(target, durable=durable) as temporary:
        temporary.write_text(text, encoding="utf-8")


def replace_json(target: Path, content: Any, *, durable: bool = False) -> None:
    """Make `content` the content of `target`."""
    replace_text(target, _json(content), durable=durable)


def overwrite_json(target: Path, content: Any) -> None:
    """Write into the file itself, where a full disk has no room for a second one."""
    with target.open("r+", encoding="utf-8") as handle:
        handle.write(_json(content))
        handle.truncate()


def _json(content: Any) -> str:
    return json.dumps(content, indent=2) + "\n"


def sync(path: Path) -> None:
    """Wait until a file or a folder's entries are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_writable(folder: Path) -> None:
    """Make `folder` if need be. `OSError` where no file can be made in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileNotFoundError), replacing(folder / "probe") as temporary:
        temporary.touch()
        temporary.unlink()


def _delete_leftovers(target: Path) -> None:
    for left in target.parent.glob(f".{glob.escape(target.name)}.*-*-*.tmp"):
        host, pid, _ = left.name.removesuffix(".tmp").rsplit("-", 2)
        with contextlib.suppress(OSError):
            here = host.endswith(f".{socket.gethostname()}")
            if _is_gone(int(pid)) if here else time.time() - left.stat().st_mtime > _DAY:
                left.unlink()


def _is_gone(pid: int) -> bool:
    import psutil

    return not psutil.pid_exists(pid)
