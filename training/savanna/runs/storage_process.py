"""A process that talks to a storage, so that neither hanging nor crashing there harms training.

`python -m savanna.runs.storage_process LOCATION` reads one JSON command a line and
answers with JSON lines; it ends with its standard input, and so with whoever started it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import uuid
from pathlib import Path
from typing import Any

from savanna.errors import SavannaError

_NICENESS = 10


class StorageProcessError(SavannaError):
    """The storage failed, or the process did; the message is what it said.

    `left`: what was still to be done, in words, where that is known.
    """

    left = ""


class StorageProcess:
    """The process as its user sees it. Started by the first question, and again after a crash."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._process: subprocess.Popen[str] | None = None
        self._late = False

    def ask(self, command: dict[str, Any], patience: float) -> dict[str, Any]:
        """Have `command` carried out; its answer. `StorageProcessError` where that fails.

        `patience`: seconds that may pass without a sign of progress; the process is ended then.
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
                raise _failed(f"no answer within {patience:g} s", left)
            if not line:
                raise _failed(self._last_words(), left)
            answer = json.loads(line)
        if answer.get("error"):
            raise _failed(answer["error"], left)
        return answer

    def close(self) -> None:
        """End the process."""
        if self._process is None:
            return
        for pipe in (self._process.stdin, self._process.stdout):
            with contextlib.suppress(OSError):  # unsent words to a process that is gone
                if pipe is not None:
                    pipe.close()
        self._process.kill()
        self._process.wait()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            source = str(Path(__file__).parents[2])
            paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, self._location],
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
        """What the process that just died wrote last; C++ says `what(): ...`."""
        self.close()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        told = [line.removeprefix("what():").strip() for line in lines if "what():" in line]
        return (told or lines[-1:] or ["the process that talks to it was killed"])[0]


def _failed(problem: str, left: str) -> StorageProcessError:
    error = StorageProcessError(problem)
    error.left = left
    return error


def main() -> None:
    """Serve the commands on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which ends us
    os.nice(_NICENESS)
    from savanna.runs.storage import connect
    from savanna.runs.upload import Upload

    uploads: dict[str, Upload] = {}
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            storage = connect(sys.argv[1])
            if command["do"] == "check":
                check(storage, command["writable"])
            elif command["do"] == "read":
                answer = {"content": read(storage, command["file"])}
            else:
                run = command["run"]
                upload = uploads.setdefault(run, Upload(storage, Path(run), command["to"]))
                refuse_missing_container(storage)
                for left in upload.steps():
                    print(json.dumps({"left": left}), flush=True)
            print(json.dumps(answer), flush=True)
        except Exception as error:
            print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)


def refuse_missing_container(storage: Any) -> None:
    """`FileNotFoundError` where `storage` lies in an Azure container that is not there.

    A container has an owner and settings: none is made by the way. And none is written to that is
    missing: Azure's library for C++ can lose the reason of a refused write. Where "100 Continue"
    and the refusal arrive together, it looks for the refusal's body in its headers, and then
    reports a broken connection after many tries, or crashes. Reads expect no "100 Continue".
    """
    import pyarrow.fs

    if storage.filesystem.type_name != "abfs":
        return
    container = storage.path.partition("/")[0]
    if storage.filesystem.get_file_info(container).type == pyarrow.fs.FileType.NotFound:
        raise FileNotFoundError("ContainerNotFound")


def read(storage: Any, file: str) -> str | None:
    """The text of a file in the storage; `None` where it is not there."""
    try:
        with storage.filesystem.open_input_stream(f"{storage.path}/{file}") as stream:
            return str(stream.read().decode())
    except FileNotFoundError:
        return None


def check(storage: Any, writable: bool) -> None:
    """Raise what keeps `storage` from being used."""
    import pyarrow.fs

    filesystem, path = storage.filesystem, storage.path
    refuse_missing_container(storage)
    if writable and filesystem.type_name != "abfs":
        filesystem.create_dir(path, recursive=True)
    if writable:
        probe = f"{path}/.savanna-{uuid.uuid4().hex}"
        with filesystem.open_output_stream(probe) as stream:
            stream.write(b"probe")
        filesystem.delete_file(probe)
    else:
        filesystem.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True))


if __name__ == "__main__":
    main()
