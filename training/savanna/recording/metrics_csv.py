"""`metrics.csv`: one line per iteration, flushed, so that a crash loses nothing."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any, TextIO

from savanna.errors import SavannaError
from savanna.metrics import COLUMNS, IterationResult
from savanna.runs.directory import RunDirectory


class MetricsCsv:
    """Writes `metrics.csv`. Resuming drops the rows that the resumed run will write again."""

    def __init__(self) -> None:
        self._run: RunDirectory | None = None
        self._resumed = False
        self._handle: TextIO | None = None

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        self._run, self._resumed = run, resumed

    def record(self, result: IterationResult) -> None:
        if self._run is None:
            raise RuntimeError("record() before start()")
        file = self._run.path / "metrics.csv"
        try:
            if self._handle is None:
                self._handle = self._open(file, result.iteration)
            csv.writer(self._handle).writerow(result.as_row().values())
            self._handle.flush()
        except OSError as error:
            raise SavannaError(f"cannot write {file}: {error.strerror}") from error

    def finish(self, status: dict[str, Any]) -> None:
        if self._handle is not None:
            self._handle.close()
            self._handle = None

    def _open(self, file: Path, first: int) -> TextIO:
        """Open `file` to append after the lines of iterations before `first`."""
        kept = _lines_before(file, first) if self._resumed and file.exists() else []
        temporary = file.with_name(f".{file.name}.tmp")
        with temporary.open("w", newline="") as handle:
            # A column that an older version did not write gets no value.
            writer = csv.DictWriter(handle, COLUMNS, restval="nan", extrasaction="ignore")
            writer.writeheader()
            writer.writerows(kept)
        temporary.replace(file)
        return file.open("a", newline="")


def _lines_before(file: Path, first: int) -> list[dict[str, str]]:
    kept = []
    with file.open(newline="") as handle:
        for row in csv.DictReader(handle):
            whole = None not in row.values()  # else a crash truncated the line
            if whole and int(row["iteration"]) < first:
                kept.append(row)
    return kept
