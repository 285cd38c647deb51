"""This machine's records of the jobs it submitted: `.savanna/jobs/<id>.json`.

A head that is replaced forgets its jobs; the records tell such a job from one that never existed.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from savanna.errors import SavannaError, UsageError, explained
from savanna.files import replace_json
from savanna.jobs.states import State

FOLDER = Path(".savanna/jobs")


@dataclass(frozen=True)
class Record:
    """One submitted job; `final` is its terminal state, once seen."""

    id: str
    cluster: str  # the address of its Jobs API
    experiment: str
    entrypoint: str
    submitted: str  # UTC, ISO 8601
    run: str | None = None
    resumable: bool = False
    workers: int | None = None
    group: str | None = None
    final: dict[str, Any] | None = None

    def save(self, folder: Path = FOLDER) -> None:
        """Write the file in one step."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            replace_json(folder / f"{self.id}.json", asdict(self), durable=True)
        except OSError as error:
            raise SavannaError(f"cannot write {explained(error)}") from error

    @property
    def final_state(self) -> State | None:
        return State(**self.final) if self.final else None


def new_id(name: str) -> str:
    """A readable job id: `pong-20261121-065500-ab12`."""
    return f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"


def load(job: str, folder: Path = FOLDER) -> Record | None:
    """The record of a job; `None` if it was not submitted from this folder."""
    if not re.fullmatch(r"[\w.-]+", job):
        raise UsageError(f"{job!r} is not a job id. `savanna status` lists the jobs.")
    file = folder / f"{job}.json"
    try:
        return Record(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise SavannaError(f"cannot read {file}: {error}") from error


def load_all(folder: Path = FOLDER) -> list[Record]:
    """Every readable record."""
    found = []
    for file in sorted(folder.glob("*.json")):
        try:
            found.append(Record(**json.loads(file.read_text())))
        except (OSError, ValueError, TypeError):
            continue
    return found
