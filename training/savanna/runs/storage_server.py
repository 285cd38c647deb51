"""What a storage process does, on the other side of `savanna.runs.storage_process`.

`python -m savanna.runs.storage_server LOCATION` reads one JSON command per line and
answers with JSON lines. It ends with its standard input, and so with its parent process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import Any

from savanna.runs.storage import Storage, connect
from savanna.runs.upload import Upload

_NICENESS = 10


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer
    os.nice(_NICENESS)
    uploads: dict[str, Upload] = {}
    for line in sys.stdin:
        command = json.loads(line)
        answer: dict[str, Any] = {}
        try:
            storage = connect(sys.argv[1])
            if command["do"] == "check":
                check(storage, command["writable"])
            elif command["do"] == "read":
                answer = {"content": storage.read(command["file"])}
            else:
                run = command["run"]
                upload = uploads.setdefault(run, Upload(storage, Path(run), command["to"]))
                refuse_missing_container(storage)
                for left in upload.steps():
                    print(json.dumps({"left": left}), flush=True)
            print(json.dumps(answer), flush=True)
        except Exception as error:
            print(json.dumps({"error": str(error) or type(error).__name__}), flush=True)


def refuse_missing_container(storage: Storage) -> None:
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


def check(storage: Storage, writable: bool) -> None:
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
