"""A process that talks to a storage, so that a hang or crash there cannot harm training.

`python -m savanna.runs.storage_process LOCATION` reads one JSON command per line and
answers with JSON lines. It ends with its standard input, and so with its parent process.
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
    """The storage or the process failed; the message is its last error.

    `left`: what was still to be done, as text, if known.
    """

    left = ""


class StorageProcess:
    """The process as its parent sees it. The first `ask` starts it, as does one after a crash."""

    def __init__(self, location: str) -> None:
        self._location = location
        self._process: subprocess.Popen[str] | None = None
        self._late = False

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
            with contextlib.suppress(OSError):  # unsent data for a dead process
                if pipe is not None:
                    pipe.close()
        self._process.kill()
        self._process.wait()
        self._process = None

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None:
            source = str(Path(__file__).parents[2])
            paths = [source, *filter(None, [os.environ.get("PYTHONPATH")])]
            self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (open as long as the process)
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
        """The last error of the process that just died; C++ writes `what(): ...`."""
        self.close()
        self._errors.seek(0)
        lines = [line.strip() for line in self._errors.read().splitlines() if line.strip()]
        told = [line.removeprefix("what():").strip() for line in lines if "what():" in line]
        return (told or lines[-1:] or ["the storage process was killed"])[0]


def _failed(problem: str, left: str) -> StorageProcessError:
    error = StorageProcessError(problem)
    error.left = left
    return error


def main() -> None:
    """Serve the commands on standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer
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
    """`FileNotFoundError` if `storage` is in an Azure container that does not exist.

    A container has an owner and settings, so we never create one. Nor do we write to a missing one:
    Azure's C++ library can lose the reason for a refused write. If "100 Continue" and the refusal
    arrive together, it looks for the refusal's body in the headers, and then reports a broken
    connection after many tries, or crashes. Reads expect no "100 Continue".
    """
    import pyarrow.fs

    if storage.filesystem.type_name != "abfs":
        return
    container = storage.path.partition("/")[0]
    if storage.filesystem.get_file_info(container).type == pyarrow.fs.FileType.NotFound:
        raise FileNotFoundError("ContainerNotFound")


def read(storage: Any, file: str) -> str | None:
    """The text of a file in the storage; `None` if it does not exist."""
    try:
        with storage.filesystem.open_input_stream(f"{storage.path}/{file}") as stream:
            return str(stream.read().decode())
    except FileNotFoundError:
        return None


def check(storage: Any, writable: bool) -> None:
    """Raise the error that makes `storage` unusable, if any."""
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
