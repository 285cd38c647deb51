"""Fetching a run from the storage to a machine that does not have it."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import uuid
from collections.abc import Callable, Iterator
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
from savanna.streams import say as to_terminal

_READERS = 16  # status files read at a time: each costs a round trip


def is_local(reference: str, runs_root: Path) -> bool:
    """Whether what `--resume` names (`RUN`, `RUN@NUMBER` or a folder) is on this machine."""
    if (Path(reference).expanduser() / "rllib_checkpoint.json").is_file():
        return True
    try:
        RunDirectory.find(reference.partition("@")[0], runs_root)
    except UsageError:
        return False
    return True


def download_run(
    storage: Storage, reference: str, runs_root: Path, say: Callable[[str], None] = to_terminal
) -> RunDirectory:
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
            _download(storage, name, RunDirectory(temporary), say)
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
        names = _all_runs(storage)
        with ThreadPoolExecutor(_READERS) as pool:
            started = dict(zip(names, pool.map(lambda n: _started(storage, n), names), strict=True))
        if names:
            return max(names, key=lambda n: (started[n], PurePosixPath(n).name))
        raise UsageError(f"no runs in {storage.location}")
    parts = reference.split("/")
    if len(parts) <= 2 and all(re.fullmatch(r"\w[\w.-]*", part) for part in parts):
        experiments = parts[:1] if len(parts) == 2 else _folders(storage, storage.path)
        for experiment in experiments:
            name = f"{experiment}/{parts[-1]}"
            if _exists(storage, f"{storage.path}/{name}/config.json"):
                return name
    raise UsageError(f"no run {reference!r} here or in {storage.location}")


def _download(storage: Storage, name: str, run: RunDirectory, say: Callable[[str], None]) -> None:
    import pyarrow.fs

    source = f"{storage.path}/{name}"
    folders = _folders(storage, source)

    def copy(part: str) -> None:
        pyarrow.fs.copy_files(
            f"{source}/{part}",
            str(run.path / part),
            source_filesystem=storage.filesystem,
            destination_filesystem=pyarrow.fs.LocalFileSystem(),
        )

    run.path.mkdir()
    for file in _listed(storage, source):
        if file.type == pyarrow.fs.FileType.File:
            copy(file.base_name)
    for folder in (f for f in folders if number_of(f) is None):
        (run.path / folder).mkdir()
        copy(folder)
    _use_backups(run.path)
    damaged = []
    for number in sorted(n for f in folders if (n := number_of(f)) is not None):
        local = run.checkpoint_path(number)
        local.mkdir()
        copy(local.name)
        if number not in [c.number for c in run.checkpoints()] or not is_whole(local):
            shutil.rmtree(local)
            damaged.append(number)
    left = [c.number for c in run.checkpoints()]
    for number in damaged:
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


def _all_runs(storage: Storage) -> list[str]:
    experiments = _folders(storage, storage.path)
    return [f"{e}/{run}" for e in experiments for run in _folders(storage, f"{storage.path}/{e}")]


def _started(storage: Storage, name: str) -> str:
    """When a run was started; empty if its status cannot be read."""
    for file in ("status.json", f"{BACKUP}/status.json"):
        try:
            with storage.filesystem.open_input_stream(f"{storage.path}/{name}/{file}") as stream:
                return str(json.loads(stream.read())["started"])
        except (FileNotFoundError, ValueError, KeyError):
            continue
    return ""


def _folders(storage: Storage, path: str) -> list[str]:
    import pyarrow.fs

    directory = pyarrow.fs.FileType.Directory
    return sorted(f.base_name for f in _listed(storage, path) if f.type == directory)


def _listed(storage: Storage, path: str) -> list[Any]:
    import pyarrow.fs

    selector = pyarrow.fs.FileSelector(path, allow_not_found=True)
    return list(storage.filesystem.get_file_info(selector))


def _exists(storage: Storage, path: str) -> bool:
    import pyarrow.fs

    return bool(storage.filesystem.get_file_info(path).type == pyarrow.fs.FileType.File)


def find_anywhere(
    reference: str, runs_root: Path, location: str | None, say: Callable[[str], None] = to_terminal
) -> tuple[Resumption, bool]:
    """What `--resume` names, and whether it was fetched from the storage at `location`.

    It is fetched if it is not here, or if the copy here is older, which is then set aside.
    """
    if location is None:
        return find_resumption(reference, runs_root), False
    name, at, number = reference.partition("@")
    older = None
    if is_local(reference, runs_root):
        here = find_resumption(reference, runs_root)
        if here.run is None or not _newer_in(location, here.run):
            return here, False
        refuse_owned(here.run.path)
        older = here.run.path
        name, runs_root = name_of(older), older.parent.parent
    storage = open_storage(location)
    run = find_run(storage, name)
    _refuse_owned_there(location, run, say)
    with _set_aside(older, location, say):
        fetched = download_run(storage, run, runs_root, say)
    (fetched.path / FILE).unlink(missing_ok=True)
    return find_resumption(f"{fetched.path}{at}{number}", runs_root), True


@contextlib.contextmanager
def _set_aside(older: Path | None, location: str, say: Callable[[str], None]) -> Iterator[None]:
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
    name = name_of(run.path)
    text = read_from_storage(location, f"{name}/status.json")
    try:
        there = json.loads(text) if text else {}
    except ValueError:  # an upload was killed; the next one repairs it
        there = {}
    here, sessions = run.status, (int(there.get("session", 0)), int(run.status.get("session", 0)))
    if sessions[0] > sessions[1]:
        return True
    if sessions[0] == sessions[1] and there.get("started_by") not in (None, here.get("started_by")):
        raise UsageError(
            f"{name} was continued both here and in {location}, and the copies differ. Resume one: "
            "this copy with --storage none, or the stored copy from another --runs-root."
        )
    return False


def _refuse_owned_there(location: str, name: str, say: Callable[[str], None]) -> None:
    """`UsageError` if another process is writing the run in the storage."""

    def look() -> Any:
        text = read_from_storage(location, f"{name}/{FILE}")
        try:
            return json.loads(text) if text else None
        except ValueError:
            return None

    # The copier renews it with every copy.
    refuse_living(look, name, say, patience=2 * PUSH_SECONDS + 15)
