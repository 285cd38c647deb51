"""Copies run directories from the head's results volume to a local folder."""

from __future__ import annotations

import io
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

from docker.errors import NotFound
from docker.models.containers import Container

from infra.facts import facts
from infra.local.containers import archive_of


class _Chunks(io.RawIOBase):
    """A readable file over an iterator of bytes."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        data = self._rest or next(self._chunks, b"")
        count = min(len(buffer), len(data))
        buffer[:count], self._rest = data[:count], data[count:]
        return count


def fetch_results(head: Container, target: Path) -> list[Path]:
    """Copy every run directory `experiment/run` of the head into `target`; returns the paths.

    If a run is already here, its files are added or replaced and others stay. If it has continued
    here independently, it is left alone and the head's copy is put beside it as `run-cluster`.
    """
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target, prefix=".fetch-") as folder:
        try:
            chunks = archive_of(head, facts()["RESULTS_PATH"])
        except NotFound:
            return []
        stream = io.BufferedReader(_Chunks(chunks), 2**20)
        with tarfile.open(fileobj=stream, mode="r|") as archive:
            archive.extractall(folder, filter="data")
        root = Path(folder) / Path(facts()["RESULTS_PATH"]).name
        runs = [status.parent for status in sorted(root.glob("*/*/status.json"))]
        return [_keep(run, target) for run in runs if not run.is_symlink()]


def _keep(run: Path, target: Path) -> Path:
    goal = target / run.parent.name / run.name
    ours, theirs = goal / "metrics.csv", run / "metrics.csv"
    if ours.is_file() and not (
        theirs.is_file() and theirs.read_bytes().startswith(ours.read_bytes())
    ):
        goal = goal.with_name(f"{run.name}-cluster")
    shutil.copytree(run, goal, symlinks=True, dirs_exist_ok=True)
    return goal
