"""Fetching a run from the storage to a machine that does not have it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from savanna.errors import SavannaError, UsageError
from savanna.runs.checkpoints import is_whole, number_of
from savanna.runs.copier import PUSH_SECONDS
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import FILE, name_of, refuse_living, refuse_owned
from savanna.runs.resumption import Resumption, find_resumption
from savanna.runs.storage import Storage, explain, open_storage, read_from_storage
from savanna.runs.upload import BACKUP
from savanna.streams import say

READERS = 16  # status files read at a time: each costs a round trip


def is_local(reference: str, runs_root: Path) -> bool:
    """Whether what `--resume` names (`RUN`, `RUN@NUMBER` or a folder) is on this machine."""
    if (Path(reference).expanduser() / "rllib_checkpoint.json").is_file():
        return True
    try:
        RunDirectory.find(reference.partition("@")[0], runs_root)
    except UsageError:
        return False
    return True


def download_run(storage: Storage, reference: str, runs_root: Path) -> RunDirectory:
    """Copy a run and its kept checkpoints to `runs_root/EXPERIMENT/ID`.

    `reference` is `experiment/id`, `id`, or `latest`: the one started last. The directory appears
    once it is complete. Incomplete checkpoints are left out, with a warning.

    Raises:
        UsageError: there is no such run, or it is already on this machine.
        SavannaError: the storage failed during the copy.
    """
    try:
        name = find_run(storage, reference)
        target = runs_root.resolve() / name
        if target.exists():
            raise UsageError(f"{target} already exists; move it away to fetch the stored run")
        say(f"Fetching {name} from {storage.location} ...")
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".download-{uuid.uuid4().hex}")
        try:
            _download(storage, name, RunDirectory(temporary))
            temporary.rename(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        reason = explain(str(error), storage.location)
        raise SavannaError(
            f"cannot fetch {reference!r} from {storage.location}: {reason}"
        ) from error
    return RunDirectory(target)


def find_run(storage: Storage, reference: str) -> str:
    """`experiment/id` of the run in the storage that `reference` names; `UsageError` if none."""
    if reference == "latest":
        names = all_stored(storage)
        with ThreadPoolExecutor(READERS) as pool:
            started = dict(zip(names, pool.map(lambda n: _started(storage, n), names), strict=True))
        if names:
            return max(names, key=lambda n: (started[n], PurePosixPath(n).name))
        raise UsageError(f"no runs in {storage.location}")
    parts = reference.split("/")
    if len(parts) <= 2 and all(re.fullmatch(r"\w[\w.-]*", part) for part in parts):
        experiments = parts[:1] if len(parts) == 2 else _folders(storage, storage.path)
        for experiment in experiments:
            name = f"{experiment}/{parts[-1]}"
            if storage.filesystem.get_file_info(f"{storage.path}/{name}/config.json").is_file:
                return name
    raise UsageError(f"no run {reference!r} here or in {storage.location}")


def _download(storage: Storage, name: str, run: RunDirectory) -> None:
    import pyarrow.fs

    run.path.mkdir()
    pyarrow.fs.copy_files(
        f"{storage.path}/{name}",
        str(run.path),
        source_filesystem=storage.filesystem,
        destination_filesystem=pyarrow.fs.LocalFileSystem(),
    )
    _use_backups(run.path)
    numbers = [n for folder in run.path.iterdir() if (n := number_of(folder.name)) is not None]
    left = [c.number for c in run.checkpoints() if is_whole(run.checkpoint_path(c.number))]
    damaged = sorted(set(numbers) - set(left))
    for number in damaged:
        shutil.rmtree(run.checkpoint_path(number))
        say(f"warning: left out checkpoint {number} of {name}: incomplete in the storage")
    if damaged and left:
        say(f"The newest complete checkpoint is {left[-1]}.")


def _use_backups(folder: Path) -> None:
    """Replace files that a killed upload left empty with the copies it made before."""
    backup = folder / BACKUP
    for copy in backup.glob("*"):
        file = folder / copy.name
        if copy.stat().st_size and (not file.exists() or file.stat().st_size == 0):
            copy.replace(file)
    shutil.rmtree(backup, ignore_errors=True)


def all_stored(storage: Storage) -> list[str]:
    """`experiment/id` of every run in the storage."""
    experiments = _folders(storage, storage.path)
    return [f"{e}/{run}" for e in experiments for run in _folders(storage, f"{storage.path}/{e}")]


def _started(storage: Storage, name: str) -> str:
    """When a run was started; empty if its status cannot be read."""
    for file in ("status.json", f"{BACKUP}/status.json"):
        with contextlib.suppress(ValueError, KeyError):
            return str(json.loads(storage.read(f"{name}/{file}") or "{}")["started"])
    return ""


def _folders(storage: Storage, path: str) -> list[str]:
    import pyarrow.fs

    found = storage.filesystem.get_file_info(pyarrow.fs.FileSelector(path, allow_not_found=True))
    return sorted(f.base_name for f in found if f.type == pyarrow.fs.FileType.Directory)


def find_anywhere(reference: str, runs_root: Path, location: str | None) -> tuple[Resumption, bool]:
    """What `--resume` names, and whether it was fetched from the storage at `location`.

    It is fetched if it is not here, or if the copy here is older, which is then set aside.
    """
    if location is None:
        return find_resumption(reference, runs_root), False
    name, at, number = reference.partition("@")
    if is_local(reference, runs_root):
        here = find_resumption(reference, runs_root)
        if here.run is None:
            return here, False
    run, fetched = bring_run(name, runs_root, location)
    return find_resumption(f"{run.path}{at}{number}", runs_root), fetched


def bring_run(name: str, runs_root: Path, location: str) -> tuple[RunDirectory, bool]:
    """The run `name`, and whether it was fetched from the storage at `location`.

    It is fetched if it is not here, or if the copy here is older, which is then set aside.

    Raises:
        UsageError: another process writes it, or the two copies have diverged.
    """
    older = None
    if is_local(name, runs_root):
        here = RunDirectory.find(name, runs_root)
        if not _newer_in(location, here):
            return here, False
        refuse_owned(here.path)
        older = here.path
        name, runs_root = name_of(older), older.parent.parent
    storage = open_storage(location)
    run = find_run(storage, name)
    _refuse_owned_there(location, run)
    with _set_aside(older, location):
        fetched = download_run(storage, run, runs_root)
    (fetched.path / FILE).unlink(missing_ok=True)
    return fetched, True


@contextlib.contextmanager
def _set_aside(older: Path | None, location: str) -> Iterator[None]:
    """Make room for the newer copy of a run; restore the older one if the block fails."""
    if older is None:
        yield
        return
    aside = older.with_name(f".older-{older.name}-{uuid.uuid4().hex[:6]}")
    older.rename(aside)
    try:
        yield
    except BaseException:
        aside.rename(older)
        raise
    name = name_of(older)
    say(f"{name} was continued elsewhere: {location} has the newer copy. The older is now {aside}.")


def _newer_in(location: str, run: RunDirectory) -> bool:
    """Whether the storage has a newer copy of `run`: more commands have written to it there.

    `UsageError` if the two copies have diverged.
    """
    name, here = name_of(run.path), run.status
    there = _json_in(location, f"{name}/status.json")
    newer = int(there.get("session", 0)) - int(here.get("session", 0))
    if newer > 0:
        return True
    if newer == 0 and there.get("started_by") not in (None, here.get("started_by")):
        raise UsageError(
            f"{name} was continued both here and in {location}, and the copies differ. Resume one: "
            "this copy with --storage none, or the stored copy from another --runs-root."
        )
    return False


def _refuse_owned_there(location: str, name: str) -> None:
    """`UsageError` if another process is writing the run in the storage."""
    patience = 2 * PUSH_SECONDS + 15  # the copier renews it with every copy
    refuse_living(lambda: _json_in(location, f"{name}/{FILE}") or None, name, patience)


def _json_in(location: str, file: str) -> dict[str, Any]:
    """The content of a JSON file in the storage; empty if it is missing or incomplete."""
    text = read_from_storage(location, file)
    try:
        return dict(json.loads(text)) if text else {}
    except (TypeError, ValueError):  # an upload was killed; the next one repairs it
        return {}
