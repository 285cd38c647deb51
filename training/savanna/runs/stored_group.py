"""Finding a group whose runs may be in the storage, and not on this machine."""

from __future__ import annotations

import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from savanna.errors import SavannaError
from savanna.runs.group import Group, choose, find_group, grouped
from savanna.runs.storage import Storage, explain, open_storage
from savanna.runs.stored import READERS, all_stored, bring_run
from savanna.runs.upload import BACKUP


def find_group_anywhere(reference: str, root: Path, location: str | None, option: str) -> Group:
    """The group that `reference` names in `root` or in the storage at `location`.

    Its stored runs are brought here, as `bring_run` does. `option` is what an error names.
    """
    if location is None:
        return find_group(root, reference, option)
    try:
        stored = _stored(open_storage(location))
    except OSError as error:
        reason = explain(str(error), location)
        raise SavannaError(f"cannot read the runs in {location}: {reason}") from error
    group_by_run = stored | {m.name: m.group or "" for m in grouped(root)}
    newest_first = sorted(group_by_run, key=lambda n: (PurePosixPath(n).name, n), reverse=True)
    groups = [group_by_run[run] for run in newest_first]
    name = choose(reference, groups, f"{root}/ and {location}", option)
    for run in sorted(run for run, group in stored.items() if group == name):
        bring_run(run, root, location)
    return find_group(root, name, option)


def _stored(storage: Storage) -> dict[str, str]:
    """`experiment/id` of every stored run that belongs to a group -> the group's name."""
    runs = all_stored(storage)
    with ThreadPoolExecutor(READERS) as pool:
        groups = pool.map(lambda run: _group_in(storage, run), runs)
        return {run: group for run, group in zip(runs, groups, strict=True) if group}


def _group_in(storage: Storage, run: str) -> str:
    for file in ("config.json", f"{BACKUP}/config.json"):
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
            return str(
                json.loads(storage.read(f"{run}/{file}") or "{}")["options"]["group"]["name"]
            )
    return ""
