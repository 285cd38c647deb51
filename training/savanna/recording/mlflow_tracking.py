"""MLflow tracking that training never waits for.

Everything is queued and sent by one background thread, which also imports MLflow (seconds). It
starts with the first result, so that the start of a run stays quick. A store that cannot be
reached costs one warning; the thread tries again now and then, and `metrics.csv` has it all.

The thread has the priority of all others. One that yielded to training could not be hurried when
training had ended, for only root may raise a priority: on a busy machine the command waited for it
in vain, and the end of a short run was lost.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from savanna.errors import SavannaError
from savanna.metrics import IterationResult
from savanna.recording.mlflow_run import MlflowRun
from savanna.recording.mlflow_store import artifacts_of, default_uri, public_uri, why_not
from savanna.runs.directory import RunDirectory

_LONGEST = 120.0
"""Seconds that `finish` waits at most, be it for a store that takes in what it gets, but slowly."""


class MlflowTracking:
    """Sends a run to `MLFLOW_TRACKING_URI`, or to `mlflow.db` in the runs folder.

    `warn` gets the one line that says that tracking fails. `flush_seconds` is the time between
    two batches, `retry_seconds` the pause after a failure, `patience` the longest that `finish`
    waits for the next answer of a server.
    """

    def __init__(
        self,
        warn: Callable[[str], None] = lambda text: print(text, file=sys.stderr),
        *,
        flush_seconds: float = 5.0,
        retry_seconds: float = 30.0,
        patience: float = 10.0,
    ) -> None:
        self._warn = warn
        self._flush_seconds, self._retry_seconds = flush_seconds, retry_seconds
        self._patience = patience
        self._warned: set[str] = set()
        self._pending: deque[tuple[int, IterationResult]] = deque()  # (milliseconds, result)
        self._status: dict[str, Any] | None = None
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._film: Path | None = None  # the newest one sent

    def start(self, run: RunDirectory, config: dict[str, Any], resumed: bool) -> None:
        self._run = run
        self._uri = os.environ.get("MLFLOW_TRACKING_URI") or default_uri(run)
        self._mlflow = MlflowRun(run, config, self._uri, _milliseconds())
        problem = why_not(self._uri)
        self._off = bool(problem)
        if problem:
            self._warn(problem)

    def record(self, result: IterationResult) -> None:
        if self._off:
            return
        self._pending.append((_milliseconds(), result))
        self._start_thread()

    def finish(self, status: dict[str, Any]) -> None:
        self._status = status
        self._start_thread()
        self._wake.set()
        if self._thread is not None:
            self._await(self._thread)

    def _await(self, thread: threading.Thread) -> None:
        end = time.monotonic() + _LONGEST
        told = False
        while (left := end - time.monotonic()) > 0:
            answers = self._mlflow.answers
            thread.join(min(self._patience, left))
            if not thread.is_alive():
                return
            if self._mlflow.waits_for_server and self._mlflow.answers == answers:
                self._fail(TimeoutError(f"no answer within {self._patience:g} s at the end"))
                return
            if not told:
                self._warn(f"Finishing MLflow tracking at {public_uri(self._uri)} ...")
                told = True
        self._warn_once("is slow", f"the end of this run is not there after {_LONGEST:g} s")

    def _start_thread(self) -> None:
        if self._thread is None and not self._off:
            self._thread = threading.Thread(target=self._work, name="mlflow", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        while True:
            status = self._status
            pause = self._flush_seconds
            try:
                self._send(status)
            except Exception as error:  # whatever a store or plugin raises: training goes on
                self._fail(error)
                pause = self._retry_seconds
            if status is not None:
                return
            self._wake.wait(pause)

    def _send(self, status: dict[str, Any] | None) -> None:
        """All there is; with `status` it is the last."""
        while waiting := list(self._pending):
            for _ in range(self._mlflow.log(waiting)):
                self._pending.popleft()
        if status is not None:
            self._mlflow.end(status)
            for file in artifacts_of(self._run):
                self._send_file(file)
        films = sorted(self._run.videos.glob("*.mp4"), key=lambda film: film.stat().st_mtime_ns)
        if films and films[-1] != self._film:
            self._film = films[-1]
            self._send_file(films[-1], "videos")

    def _send_file(self, file: Path, folder: str | None = None) -> None:
        """Files may go to another place than metrics, which are sent though it does not work."""
        try:
            self._mlflow.send_file(file, folder)
        except Exception as error:  # whatever such a place raises
            self._warn_once("takes no files", self._cause(error))

    def _fail(self, error: BaseException) -> None:
        self._warn_once("does not work", f"{self._cause(error)} (training goes on)")

    def _warn_once(self, trouble: str, details: str) -> None:
        if trouble in self._warned or "does not work" in self._warned:
            return
        self._warned.add(trouble)
        self._warn(f"MLflow tracking at {public_uri(self._uri)} {trouble}: {details}")

    def _cause(self, error: BaseException) -> str:
        text = str(error).replace(self._uri, public_uri(self._uri))
        database = re.search(r"^\(\w+\.\w*Error\) (.*)", text, re.MULTILINE)
        lines = [database[1]] if database else text.splitlines()
        cause = lines[0] if lines else type(error).__name__
        return cause if isinstance(error, SavannaError) else cause[:200]


def _milliseconds() -> int:
    return int(time.time() * 1000)
