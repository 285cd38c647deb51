"""Keeps a copy of run directories in the storage while they grow."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from savanna.runs.directory import RunDirectory
from savanna.runs.storage import Storage, explain
from savanna.runs.storage_process import StorageProcess, StorageProcessError

PUSH_SECONDS = 30.0
"""Time between two copies: the most that is lost with the machine."""

_PATIENCE = 120.0  # seconds for one file


@dataclass
class _Mirrored:
    run: RunDirectory
    target: str
    checkpoints: bool


class Mirror:
    """Copies the small files of runs in the background; Ray Tune itself stores checkpoints.

    A copy that fails is told once by `warn`, and tried again; training never waits for one.
    """

    def __init__(self, storage: Storage, warn: Callable[[str], None]) -> None:
        self._storage, self._warn = storage, warn
        self._process = StorageProcess(storage.location)
        self._runs: list[_Mirrored] = []
        self._wake = threading.Event()
        self._closing = False
        self._problem: str | None = None
        self._warned = False
        self._thread = threading.Thread(target=self._work, name="mirror", daemon=True)

    def add(self, run: RunDirectory, experiment: str, *, checkpoints: bool) -> None:
        """Mirror `run` from now on, with the `checkpoints` it has now where they are missing."""
        self._runs.append(_Mirrored(run, f"{experiment}/{run.id}", checkpoints))
        if not self._thread.is_alive():
            self._thread.start()
        self.push_soon()

    def push_soon(self) -> None:
        """Copy what changed now, not at the next turn."""
        self._wake.set()

    def close(self) -> str | None:
        """Copy what is left and end; what went wrong in that, if something did."""
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        self._process.close()
        return self._problem

    def _work(self) -> None:
        while True:
            self._wake.wait(PUSH_SECONDS)
            self._wake.clear()
            last = self._closing
            self._problem = self._push()
            if last:
                return
            if self._problem is not None and not self._warned:
                self._warned = True
                self._warn(
                    f"warning: results cannot be copied to {self._storage.location} for now: "
                    f"{self._problem} (training goes on, this is tried again)"
                )

    def _push(self) -> str | None:
        for mirrored in list(self._runs):
            command = {
                "do": "push",
                "run": str(mirrored.run.path),
                "to": mirrored.target,
                "checkpoints": mirrored.checkpoints,
            }
            try:
                self._process.ask(command, _PATIENCE)
            except (StorageProcessError, OSError, ValueError) as error:
                return explain(str(error), self._storage.location)
            mirrored.checkpoints = False
        return None
