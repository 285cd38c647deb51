"""Finding what `--resume` names, and checking that it is not damaged."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from math import nan
from pathlib import Path

from savanna.errors import SavannaError, UsageError
from savanna.files import replacing
from savanna.runs.checkpoints import DISCARDED, CheckpointInfo, is_whole, newest_whole, number_of
from savanna.runs.directory import RunDirectory
from savanna.runs.films import films_after
from savanna.streams import say

NOTHING = CheckpointInfo(number=-1, iteration=0, agent_steps=0, seconds=0, episode_return_mean=nan)
"""Where a run is before its first checkpoint."""


@dataclass(frozen=True)
class Resumption:
    """Where to continue. Without `run`, a new run starts from the checkpoint's networks."""

    checkpoint: Path
    run: RunDirectory | None = None
    counters: CheckpointInfo | None = None

    @property
    def origin(self) -> RunDirectory | None:
        """The run that the checkpoint belongs to, unless its folder is elsewhere."""
        around = RunDirectory(self.checkpoint.parent)
        return self.run or (around if (around.path / "config.json").is_file() else None)


def find_resumption(reference: str, runs_root: Path) -> Resumption:
    """`RUN` (its newest whole checkpoint), `RUN@NUMBER`, or the folder of any RLlib checkpoint."""
    folder = Path(reference).expanduser()
    if (folder / "rllib_checkpoint.json").is_file():
        if not is_whole(folder):
            raise SavannaError(f"checkpoint {folder} is damaged.")
        return Resumption(folder.resolve())
    name, _, number = reference.partition("@")
    return resumption_of(RunDirectory.find(name, runs_root), number)


def resumption_of(run: RunDirectory, number: str = "") -> Resumption:
    """Continuing `run` from checkpoint `number`, or from its newest whole one.

    `SavannaError` if that checkpoint is damaged, or all are.
    """
    counters, whole = run.checkpoint(number or "last"), newest_whole(run.path)
    if not number and whole is not None:
        counters = whole
    path = run.checkpoint_path(counters.number)
    if not is_whole(path):
        name = f"{run.path.parent.name}/{run.id}"
        hint = f"Try --resume {name}@{whole.number}." if whole else "No other is left."
        raise SavannaError(f"checkpoint {counters.number} of {name} is damaged: {path}. {hint}")
    return Resumption(path, run, counters)


def go_back(run: RunDirectory) -> CheckpointInfo:
    """Rewind `run` to its newest whole checkpoint, or to its beginning; where it is then."""
    to = newest_whole(run.path) or NOTHING
    rewind(run, to)
    return to


def rewind(run: RunDirectory, to: CheckpointInfo) -> None:
    """Set aside what came after checkpoint `to`: the run will redo it, with other results.

    Rows of `metrics.csv` go to `metrics-discarded.csv`, checkpoints and films to `discarded/`.
    """
    _rewind_metrics(run, to)
    aside = run.path / DISCARDED
    # Those without a readable manifest too, which are no checkpoints to anybody else.
    found = [number_of(folder.name) for folder in run.path.glob("checkpoint_*")]
    later = sorted(number for number in found if number is not None and number > to.number)
    known = {c.number for c in run.checkpoints() if is_whole(run.checkpoint_path(c.number))}
    damaged = [number for number in later if number not in known]
    run.forget_evaluations(later)
    gone = [run.checkpoint_path(number) for number in later]
    gone += films_after(run, to, [path.name for path in gone])
    for path in gone:
        place = aside / path.relative_to(run.path)
        place.parent.mkdir(exist_ok=True, parents=True)
        path.replace(place)
    if later:
        text = f"Checkpoints after {to.number} of {run.id}, and their films, are now in {aside}."
        say(text + (f" Damaged: {', '.join(map(str, damaged))}." if damaged else ""))


def _rewind_metrics(run: RunDirectory, to: CheckpointInfo) -> None:
    file = run.path / "metrics.csv"
    if not file.is_file():
        return
    with file.open(newline="") as handle:
        header, *rows = list(csv.reader(handle)) or [[]]
    if "iteration" not in header:
        raise UsageError(f"{file} has no column 'iteration'")
    column = header.index("iteration")
    whole = [row for row in rows if len(row) == len(header)]
    later = [row for row in whole if int(float(row[column])) > to.iteration]
    if later:
        aside = run.path / "metrics-discarded.csv"
        new = not aside.exists()
        with aside.open("a", newline="") as handle:
            csv.writer(handle).writerows([header, *later] if new else later)
    with replacing(file, durable=True) as temporary, temporary.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *(row for row in whole if row not in later)])
