"""A run directory as text, which is all that a job's log can carry.

`python -m savanna.jobs.pack DIR` prints DIR as a gzipped tar archive: base64 lines with a prefix,
and a last line with the SHA-256 sum of the archive. `unpack` is the way back.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import io
import sys
import tarfile
import time
from pathlib import Path
from typing import TextIO

from savanna.errors import SavannaError, UsageError

DATA, SUM, ERROR = "::data ", "::sha256 ", "::error "
LINE_BYTES = 3 * 2**14


def pack(folder: Path, out: TextIO) -> None:
    """Print the run directory `folder`; half-written files (`.name`) are left out."""
    if not (folder / "config.json").is_file():
        raise UsageError(f"{folder} on the cluster's head is no run directory")
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
        for path in sorted(folder.rglob("*")):
            name = path.relative_to(folder)
            if any(part.startswith(".") for part in name.parts) or not path.is_file():
                continue
            # Read whole, and then told: a run that goes on changes the sizes of its files.
            try:
                content, changed = path.read_bytes(), int(path.stat().st_mtime)
            except FileNotFoundError:
                continue  # a checkpoint that was given up meanwhile
            entry = tarfile.TarInfo(str(name))
            entry.size, entry.mtime = len(content), changed
            tar.addfile(entry, io.BytesIO(content))
    packed = archive.getbuffer()
    for start in range(0, len(packed), LINE_BYTES):
        part = packed[start : start + LINE_BYTES]
        out.write(f"{DATA}{base64.b64encode(part).decode()}\n")
    out.write(f"{SUM}{hashlib.sha256(packed).hexdigest()}\n")


def unpack(log: str, folder: Path) -> None:
    """Extract what `pack` printed into `folder`; `SavannaError` if it did not arrive whole."""
    parts, said, problem = [], None, None
    for line in log.splitlines():
        if line.startswith(DATA):
            parts.append(line.removeprefix(DATA))
        elif line.startswith(SUM):
            said = line.removeprefix(SUM).strip()
        elif line.startswith(ERROR):
            problem = line.removeprefix(ERROR)
    if problem:
        raise SavannaError(problem)
    if said is None:
        raise SavannaError("the run did not arrive whole: its log has no sum at the end")
    try:
        packed = b"".join(base64.b64decode(part, validate=True) for part in parts)
    except binascii.Error as error:
        raise SavannaError(f"the run arrived damaged: {error}") from error
    if hashlib.sha256(packed).hexdigest() != said:
        raise SavannaError("the run arrived damaged: its SHA-256 sum is another")
    try:
        with tarfile.open(fileobj=io.BytesIO(packed), mode="r:gz") as tar:
            tar.extractall(folder, filter="data")
    except (tarfile.TarError, OSError) as error:
        raise SavannaError(f"cannot unpack the run: {error}") from error


def forget_earlier(seconds: float = 600) -> None:
    """Remove what helpers before this one left on the head: Ray keeps the logs of deleted jobs."""
    with contextlib.suppress(OSError):
        own = Path("/proc/self/fd/1").resolve()
        for file in own.parent.glob("job-driver-fetch-*.log"):
            if file != own and time.time() - file.stat().st_mtime > seconds:
                file.unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    forget_earlier()
    try:
        pack(Path(argv[0]), sys.stdout)
    except (SavannaError, OSError) as error:
        print(f"{ERROR}{error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
