"""Receiving one file of a run in pieces, each checked, going on where an earlier try broke off."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from savanna.jobs.contents import File, Piece
from savanna.streams import messages

MB = 1e6


class Changed(Exception):
    """What arrives is not the file that was listed: it was written anew since, or is gone."""


class Meter:
    """Shows on stderr how far a fetch is: one line that changes, or in a file one every 10 s."""

    def __init__(self, name: str, total: int, stream: TextIO | None = None) -> None:
        self.done, self.moved = 0, 0  # bytes that are here, and how many of them came now
        self._name, self._total, self._stream = name, total, stream or messages()
        self._terminal = self._stream.isatty()
        self._every = 0.5 if self._terminal else 10.0
        self._began = self._shown = time.monotonic()

    def add(self, count: int) -> None:
        self.done, self.moved = self.done + count, self.moved + count
        if time.monotonic() - self._shown >= self._every:
            self._show()

    def close(self) -> None:
        """The last line; none where nothing had to come."""
        if self.moved:
            self._show(last=True)

    def _show(self, *, last: bool = False) -> None:
        self._shown = time.monotonic()
        rate = self.moved / MB / max(self._shown - self._began, 1e-3)
        share = self.done / self._total if self._total else 1.0
        text = (
            f"{self._name}: {self.done / MB:.1f} of {self._total / MB:.1f} MB "
            f"({share:.0%}), {rate:.1f} MB/s"
        )
        start, end = ("\r", "\n" if last else "") if self._terminal else ("", "\n")
        self._stream.write(f"{start}{text:<70}{end}" if self._terminal else f"{text}{end}")
        self._stream.flush()


def held(path: Path, pieces: tuple[Piece, ...]) -> int:
    """How many of the first `pieces` the file `path` holds."""
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        for index, piece in enumerate(pieces):
            left, digest = piece.size, hashlib.sha256()
            while left and (block := file.read(min(left, 2**20))):
                digest.update(block)
                left -= len(block)
            if left or digest.hexdigest() != piece.sha256:
                return index
    return len(pieces)


def has(folder: Path, file: File) -> bool:
    """Whether `folder` has the file with the same content."""
    path = folder / file.path
    whole = path.is_file() and path.stat().st_size == file.size
    return whole and held(path, file.pieces) == len(file.pieces)


def receive(file: File, path: Path, ask: Callable[[int], Iterator[bytes]], meter: Meter) -> None:
    """Write `file` to `path`, from the first piece on that is not there.

    `ask(lines)` gives the file's last lines, all for -1, and maybe what it has grown by since.
    Raises `Changed` at the first piece that is another one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    good = held(path, file.pieces)
    rest = file.pieces[good:]
    start = sum(piece.size for piece in file.pieces[:good])
    before = meter.done
    with path.open("r+b" if path.exists() else "w+b") as out:
        out.truncate(start)
        out.seek(start)
        meter.done += start
        try:
            if rest:
                parts = ask(sum(piece.lines for piece in rest) if good else -1)
                _write(rest, parts, out.write, meter)
        except BaseException:
            meter.done = before  # the next try counts anew what it finds here
            raise


def _write(
    pieces: tuple[Piece, ...],
    parts: Iterator[bytes],
    write: Callable[[bytes], object],
    meter: Meter,
) -> None:
    wanted = iter(pieces)
    piece = next(wanted)
    left, digest = piece.size, hashlib.sha256()
    for part in parts:
        while part:
            taken, part = part[:left], part[left:]
            write(taken)
            digest.update(taken)
            meter.add(len(taken))
            left -= len(taken)
            if left:
                continue
            if digest.hexdigest() != piece.sha256:
                raise Changed
            following = next(wanted, None)
            if following is None:
                return
            piece, left, digest = following, following.size, hashlib.sha256()
    raise Changed
