"""The contents of a run directory as lines of text, which is all that a job's log can carry.

`python -m savanna.jobs.contents RESULTS RUN` makes RESULTS readable through the Jobs API's address
and prints one line per file of the run: its size and the checksums of its pieces. The lines contain
small files whole, so that files a run keeps rewriting arrive in a consistent state.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from typing import TextIO

from savanna.errors import SavannaError, UsageError

FILE, END, ERROR = "::file ", "::end ", "::error "
OWNER = "owner.json"
"""Not copied: whoever writes the run there does not write its copy."""
PIECE_BYTES = 8 * 2**20
SMALL_BYTES = 2**16
_BLOCK_BYTES = 2**20


@dataclass(frozen=True)
class Piece:
    """A part of a file, which ends at the end of a line or of the file.

    Ray can only read a file's last N lines: `lines` counts what ends with byte 10, and a rest.
    """

    size: int
    sha256: str
    lines: int


@dataclass(frozen=True)
class File:
    """A file of a run; `data` is the content of a small file, in base64."""

    path: str
    modified: float
    pieces: tuple[Piece, ...] = field(default=())
    data: str | None = None

    @property
    def size(self) -> int:
        return sum(piece.size for piece in self.pieces)


def pieces_of(blocks: Iterable[bytes], piece_bytes: int = PIECE_BYTES) -> Iterator[Piece]:
    """The pieces of a file that comes in `blocks`: `piece_bytes`, up to the end of the line."""
    size, lines, last, digest = 0, 0, b"", hashlib.sha256()
    for block in blocks:
        while block:
            # Up to the first end of a line at which the piece is large enough.
            end = block.find(b"\n", max(0, piece_bytes - size - 1)) + 1
            part, block = (block[:end], block[end:]) if end else (block, b"")
            digest.update(part)
            size, lines, last = size + len(part), lines + part.count(b"\n"), part[-1:]
            if end:
                yield Piece(size, digest.hexdigest(), lines)
                size, lines, last, digest = 0, 0, b"", hashlib.sha256()
    if size:
        yield Piece(size, digest.hexdigest(), lines + (last != b"\n"))


def blocks_of(path: Path, size: int) -> Iterator[bytes]:
    """The first `size` bytes of a file, block by block."""
    with path.open("rb") as file:
        while size > 0 and (block := file.read(min(size, _BLOCK_BYTES))):
            size -= len(block)
            yield block


def tell(folder: Path, out: TextIO) -> None:
    """Print the files of a run directory, without `OWNER` and half-written ones (`.name`)."""
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} on the cluster's head is not a run directory")
    count = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in name.parts)
        if hidden or str(name) == OWNER or not path.is_file():
            continue
        # A checkpoint may be deleted meanwhile; the fetching side then asks again.
        with contextlib.suppress(FileNotFoundError):
            out.write(f"{FILE}{json.dumps(asdict(_file(path, str(name))))}\n")
        count += 1
    out.write(f"{END}{count}\n")


def _file(path: Path, name: str) -> File:
    stat = path.stat()
    if stat.st_size > SMALL_BYTES:
        return File(name, stat.st_mtime, tuple(pieces_of(blocks_of(path, stat.st_size))))
    content = path.read_bytes()
    data = base64.b64encode(content).decode()
    return File(name, stat.st_mtime, tuple(pieces_of([content])), data)


def read(lines: Iterable[str]) -> Iterator[File]:
    """The files that `tell` printed, among other lines; `SavannaError` if the list is incomplete.

    A file that vanished during the listing has no path.
    """
    count = 0
    for line in lines:
        if line.startswith(ERROR):
            raise SavannaError(line.removeprefix(ERROR).strip())
        if line.startswith(END):
            for _ in range(int(line.removeprefix(END)) - count):
                yield File("", 0.0)
            return
        if line.startswith(FILE):
            count += 1
            yield _checked(json.loads(line.removeprefix(FILE)))
    raise SavannaError("the list of the run's files is incomplete")


def _checked(content: dict[str, object]) -> File:
    try:
        pieces = tuple(Piece(**piece) for piece in content.pop("pieces"))  # type: ignore[attr-defined]
        file = File(**content, pieces=pieces)  # type: ignore[arg-type]
    except (TypeError, ValueError) as error:
        raise SavannaError(f"the list of the run's files is damaged: {error}") from error
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts or not path.parts:
        raise SavannaError(f"the run has a file whose path leads outside it: {file.path!r}")
    return file


def link_name(results: str) -> str:
    """The name of `results` in the head's log folder."""
    return f"savanna-{hashlib.sha256(results.encode()).hexdigest()[:12]}"


def _offer(results: Path, logs: Path) -> None:
    """Link the runs into Ray's log folder, which Ray serves to whoever has the token."""
    with contextlib.suppress(FileExistsError):
        (logs / link_name(str(results))).symlink_to(results)


def _forget_earlier(logs: Path, seconds: float = 600) -> None:
    """Remove the logs of earlier helpers from the head: Ray keeps the logs of deleted jobs."""
    for file in logs.glob("job-driver-fetch-*.log"):
        if time.time() - file.stat().st_mtime > seconds:
            file.unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    results, run = argv
    logs = Path("/proc/self/fd/1").resolve().parent
    try:
        _forget_earlier(logs)
        _offer(Path(results), logs)
        tell(Path(results, run), sys.stdout)
    except (SavannaError, OSError) as error:
        print(f"{ERROR}{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
