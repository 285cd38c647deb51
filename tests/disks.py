"""Disks for tests: one that is soon full, and one that nothing can be written to."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from command import run

SIZE = 3 * 2**20


@contextmanager
def small_disk(folder: Path, size: int = SIZE) -> Iterator[Path]:
    """An empty disk of `size` bytes at `folder`."""
    folder.mkdir()
    _mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder)
    try:
        yield folder
    finally:
        run(["umount", "--lazy", folder])


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """`folder`, to which nobody can write in the block, not even root."""
    _mount("--bind", folder, folder)
    try:
        run(["mount", "-o", "remount,ro,bind", folder], check=True)
        yield folder
    finally:
        run(["umount", "--lazy", folder])


@contextmanager
def full(disk: Path, left: int = 0) -> Iterator[None]:
    """In the block `disk` has no room but for `left` bytes; afterwards it has what it had."""
    filler = disk / "filler"
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    with filler.open("wb") as handle:
        os.posix_fallocate(handle.fileno(), 0, max(1, free - left))
    try:
        yield
    finally:
        filler.unlink()


def _mount(*words: object) -> None:
    if os.geteuid() != 0 or run(["mount", *words]).returncode:
        pytest.skip("needs the right to mount")
