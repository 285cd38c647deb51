"""`metrics.csv`: one line an iteration, written at once, so that a crash loses nothing."""

from __future__ import annotations

import csv
import io
import os
from pathlib import Path
from typing import Any

from savanna.files import replacing
from savanna.metrics import COLUMNS, IterationResult
from savanna.runs.directory import RunDirectory


class MetricsCsv:
    """Writes `metrics.csv`.

    A resumed run, or a trial that is tried again, replaces the rows after its checkpoint.
    """

    def __init__(self) -> None:
        self._run: RunDirectory | None = None
        self._resumed = False
        self._newest = 0  # iteration
        self._handle: io.FileIO | None = None

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        self._run, self._resumed = run, resumed

    def record(self, result: IterationResult) -> None:
        if self._run is None:
            raise RuntimeError("record() before start()")
        file = self._run.path / "metrics.csv"
        with self._run.writing():
            if result.iteration <= self._newest:
                self.finish({})
                self._resumed = True
            if self._handle is None:
                self._handle = self._open(file, result.iteration)
            file.stat()  # a file that was deleted takes lines as before
            line = io.StringIO(newline="")
            csv.writer(line).writerow(result.as_row().values())
            _append(self._handle, line.getvalue().encode(), file)
            self._newest = result.iteration

    def finish(self, status: dict[str, Any]) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _open(self, file: Path, first: int) -> io.FileIO:
        """Open `file` after the lines of iterations before `first`, kept as they are."""
        kept = _lines_before(file, first) if self._resumed and file.exists() else []
        with replacing(file) as temporary, temporary.open("w", newline="") as handle:
            # A column that an older version did not write has no value.
            writer = csv.DictWriter(handle, COLUMNS, restval="nan", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        return file.open("ab", buffering=0)


def _append(handle: io.FileIO, line: bytes, file: Path) -> None:
    """The whole line or nothing of it."""
    end = os.fstat(handle.fileno()).st_size
    try:
        while line:
            line = line[handle.write(line) :]
    except OSError as error:
        error.filename = str(file)
        handle.truncate(end)
        raise


def _lines_before(file: Path, first: int) -> list[dict[str, str]]:
    kept = []
    with file.open(newline="") as handle:
        for row in csv.DictReader(handle):
            whole = None not in row.values()  # else a crash truncated the line
            if whole and int(row["iteration"]) < first:
                kept.append(row)
    return kept
