"""Copies run directories to the storage while they grow. Training never waits for it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path

from savanna.runs.owner import name_of
from savanna.runs.storage import explain
from savanna.runs.storage_process import StorageProcess, StorageProcessError

PUSH_SECONDS = 30.0
"""Time between two copies: the most work that is lost with the machine."""
END_SECONDS = 120.0
"""How long the last copy is retried."""
RETRY_SECONDS = 5.0

_PATIENCE = 120.0  # seconds for one file


class Copier:
    """Copies runs to `location` from a process of its own, in the background.

    `warn` reports each outage once, with what is not copied yet, and reports its end. What was
    missed is copied afterwards.
    """

    def __init__(self, location: str, warn: Callable[[str], None]) -> None:
        self._location, self._warn = location, warn
        self._process = StorageProcess(location)
        self._runs: list[Path] = []
        self._wake = threading.Event()
        self._closing = False
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._work, name="copier", daemon=True)

    def add(self, run: Path) -> None:
        """From now on, copy the run directory `run` to EXPERIMENT/ID in the storage."""
        self._runs.append(run)
        if not self._thread.is_alive():
            self._thread.start()
        self.push_soon()

    def leave(self, run: Path) -> None:
        """Do not copy `run` any more. A copy in progress is finished."""
        with contextlib.suppress(ValueError):
            self._runs.remove(run)

    def push_soon(self) -> None:
        """Copy changes now instead of at the next interval."""
        self._wake.set()

    def close(self, patience: float | None = None) -> str | None:
        """Copy what is left and stop. Returns what went wrong, if anything did.

        Retries for `patience` seconds (default: `END_SECONDS`).
        """
        end = time.monotonic() + (END_SECONDS if patience is None else patience)
        self._closing = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()
        while self._problem is not None and time.monotonic() < end:
            time.sleep(min(RETRY_SECONDS, max(0.0, end - time.monotonic())))
            self._problem = self._push()
        self._process.close()
        return self._problem

    def abandon(self) -> None:
        """Stop immediately, whatever has not been copied."""
        self._closing = True
        self._wake.set()
        self._process.kill()

    def _work(self) -> None:
        warned = False
        while True:
            self._wake.wait(RETRY_SECONDS if self._problem else PUSH_SECONDS)
            self._wake.clear()
            last = self._closing
            self._problem = self._push()
            if last:
                return
            if self._problem is not None and not warned:
                warned = True
                self._warn(
                    f"warning: cannot copy results to {self._location} for now: "
                    f"{self._problem} (training continues; copying is retried)"
                )
            elif self._problem is None and warned:
                warned = False
                self._warn(f"Copying works again: all results are in {self._location}.")

    def _push(self) -> str | None:
        for run in list(self._runs):
            command = {"do": "push", "run": str(run), "to": name_of(run)}
            try:
                self._process.ask(command, _PATIENCE)
            except (StorageProcessError, OSError, ValueError) as error:
                left = getattr(error, "left", "")
                problem = explain(str(error), self._location)
                return f"{problem} (not copied yet: {left})" if left else problem
        return None
