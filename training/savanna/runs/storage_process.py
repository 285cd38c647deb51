"""A process that talks to a storage, so that a hang or crash there cannot harm training.

What the process itself does is in `savanna.runs.storage_server`.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from savanna.errors import SavannaError


class StorageProcessError(SavannaError):
    """The storage or the process failed; the message is its last error.

    `left`: what was still to be done, as text, if known.
    """

    def __init__(self, problem: str, left: str = "") -> None:
        super().__init__(problem)
        self.left = left


class StorageProcess:
    """The process as its parent sees it. The first `ask` starts it, as does one after a crash."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._process: subprocess.Popen[str] | None = None
        self._late = False
        self._killed = False

    def ask(self, command: dict[str, Any], patience: float) -> dict[str, Any]:
        """Have `command` carried out. Returns its answer, raises `StorageProcessError` on failure.

        `patience`: after so many seconds without a sign of progress, the process is killed.
        """
        process = self._running()
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(command) + "\n")
            process.stdin.flush()
        except OSError:
            raise StorageProcessError(self._last_words()) from None
        answer: dict[str, Any] = {"left": ""}
        left = ""
        while "left" in answer:
            left = answer["left"]
            self._late = False
            timer = threading.Timer(patience, self._too_late)
            timer.start()
            line = process.stdout.readline()
            timer.cancel()
            if self._late:
                self.close()
                raise StorageProcessError(f"no answer within {patience:g} s", left)
            if not line:
                raise StorageProcessError(self._last_words(), left)
            answer = json.loads(line)
        if answer.get("error"):
            raise StorageProcessError(answer["error"], left)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # unsent data for a dead process
                if pipe is not None:
                    pipe.close()
        self._process.kill()
        self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End the process for good, whatever it does. From any thread; `ask` fails from now on."""
        self._killed = True
        if (process := self._process) is not None:
            process.kill()

    def _running(self) -> subprocess.Popen[str]:
        if self._killed:
            raise StorageProcessError("the storage process was killed")
        if self._process is None:
            source = str(Path(__file__).parents[2])
            paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "savanna.runs.storage_server", self._location],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            )
        return self._process

    def _too_late(self) -> None:
        self._late = True
        if self._process is not None:
            self._process.kill()

    def _last_words(self) -> str:
        """The last error of the process that just died; C++ writes `what(): ...`."""
        self.close()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        told = [line.removeprefix("what():").strip() for line in lines if "what():" in line]
        return (told or lines[-1:] or ["the storage process was killed"])[0]
