"""Fetching the runs of one command from the storage to a machine that does not have them."""

from __future__ import annotations

import json
from pathlib import Path

from savanna.runs.owner import FILE
from savanna.runs.storage import open_storage, read_from_storage
from savanna.runs.stored import all_stored, download_run


def fetch_group(location: str, name: str, runs_root: Path) -> None:
    """Copy the runs of the group `name` here that are only in the storage at `location`."""
    storage = open_storage(location)
    began = name.partition("-")[0]  # as its runs' ids do
    for run in all_stored(storage):
        if run.partition("/")[2].startswith(began) and not (runs_root / run).exists():
            config = json.loads(read_from_storage(location, f"{run}/config.json") or "{}")
            if (config.get("options", {}).get("group") or {}).get("name") == name:
                fetched = download_run(storage, run, runs_root)
                (fetched.path / FILE).unlink(missing_ok=True)
