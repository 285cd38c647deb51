"""Where results go besides the runs folder: a folder, Azure, or what pyarrow opens."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from savanna.errors import UsageError
from savanna.runs.storage_process import StorageProcess, StorageProcessError

VARIABLE = "SAVANNA_STORAGE"
CHECK_SECONDS = 45.0
"""Longest wait for a storage to prove usable."""

_PASSWORD = re.compile(r"://[^/@]*:(?!\d+(?:/|$))[^@]*@")
_SECRET_PARAMETERS = re.compile(r"key|token|secret|passw|credential|^sig$", re.IGNORECASE)


@dataclass(frozen=True)
class Storage:
    """An opened location; run directories are in `path/EXPERIMENT/ID` of `filesystem`."""

    location: str
    filesystem: Any  # pyarrow.fs.FileSystem
    path: str

    def read(self, file: str) -> str | None:
        """The text of `file`; `None` if it does not exist."""
        try:
            with self.filesystem.open_input_stream(f"{self.path}/{file}") as stream:
                return str(stream.read().decode())
        except FileNotFoundError:
            return None


def chosen_storage(option: str | None, saved: str | None = None) -> str | None:
    """The location to use: `--storage`, else `SAVANNA_STORAGE`, else what a resumed run had.

    `none` in the first two means no storage.
    """
    chosen = option or os.environ.get(VARIABLE, "").strip() or saved
    if chosen in (None, "none"):
        return None
    return chosen if "://" in chosen else str(Path(chosen).expanduser().resolve())


def connect(location: str) -> Storage:
    """Open `location` without testing it (Amazon's is asked for its region).

    Raises `UsageError` if it is malformed or holds a secret, pyarrow's `OSError` or `ValueError`
    if it cannot be opened.
    """
    import pyarrow.fs

    refuse_secrets(location)
    if location.startswith(("abfs://", "abfss://")):
        from savanna.runs.azure_storage import open_azure

        return Storage(location, *open_azure(location))
    return Storage(location, *pyarrow.fs.FileSystem.from_uri(location))


def check_storage(location: str) -> None:
    """`UsageError` unless `location` can be written to now."""
    _ask(location, {"do": "check", "writable": True}, "write to")


def open_storage(location: str) -> Storage:
    """Open `location`; `UsageError` unless it can be read now."""
    _ask(location, {"do": "check", "writable": False}, "read")
    try:
        return connect(location)
    except (OSError, ValueError, ImportError) as error:  # includes pyarrow's own
        problem = explain(str(error), location)
        raise UsageError(f"cannot read the storage {location!r}: {problem}") from error


def read_from_storage(location: str, file: str) -> str | None:
    """The text of `file` at `location`, `None` if it does not exist; `UsageError` as above."""
    content: str | None = _ask(location, {"do": "read", "file": file}, "read").get("content")
    return content


def _ask(location: str, command: dict[str, Any], what: str) -> dict[str, Any]:
    """Ask a separate process: Azure's library waits minutes for a storage that does not answer, and
    aborts the process if it finds no credentials. And a process that opens no storage can fork."""
    refuse_secrets(location)
    if location.startswith("abfs"):
        connect(location)  # checks only its form
    process = StorageProcess(location)
    try:
        return process.ask(command, CHECK_SECONDS)
    except (StorageProcessError, OSError, ValueError, ImportError) as error:
        problem = explain(str(error), location)
        raise UsageError(f"cannot {what} the storage {location!r}: {problem}") from error
    finally:
        process.close()


def refuse_secrets(location: str) -> None:
    """`UsageError` where `location` holds a password or token; the message does not repeat it."""
    try:
        parameters = parse_qsl(urlsplit(location).query, keep_blank_values=True)
    except ValueError:
        parameters = []
    secret = any(_SECRET_PARAMETERS.search(name) for name, _ in parameters)
    if not secret and not _PASSWORD.search(location):
        return
    if location.startswith(("abfs", "az", "http")):
        instead = "put it in AZURE_STORAGE_KEY, or better, use a managed identity or `az login`"
    else:
        instead = "put it where that service's own tools look, such as AWS_ACCESS_KEY_ID"
    raise UsageError(f"the storage location holds a secret, which others could see: {instead}.")


def explain(problem: str, location: str) -> str:
    """An error of pyarrow or Azure's library as one readable line."""
    line = (problem.strip() or "unknown error").splitlines()[0]
    if not location.startswith("abfs"):
        return line
    if "DefaultAzureCredential" in problem or "CredentialUnavailable" in problem:
        return "no Azure credentials found. Use a managed identity, `az login` or AZURE_STORAGE_KEY"
    if "Bearer token authentication is not permitted" in problem:
        return "AZURE_STORAGE_KEY is not set, and an http:// endpoint accepts nothing else"
    if "ContainerNotFound" in problem:
        return "there is no such container. Create it with `az storage container create`"
    if re.search(r"\] 40[13] |Authorization\w*Failure|AuthenticationFailed", problem):
        return (
            "permission denied. The identity needs the role Storage Blob Data Contributor; "
            "a key in AZURE_STORAGE_KEY must be this account's"
        )
    if re.search(r"Fail to get a new connection|[Cc]ould not (connect|resolve)", problem):
        return "could not reach it: check the account name and the network"
    found = re.search(r"Azure Error: (.*)", problem)
    return found[1] if found else line
