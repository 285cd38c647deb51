"""Finding what `--resume` names, and what of it is still good."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

from savanna.errors import SavannaError, UsageError
from savanna.runs.directory import DISCARDED, CheckpointInfo, RunDirectory
from savanna.session.films import films_after

_STATE = "algorithm_state.pkl"
_NETWORKS = "learner_group/learner/rl_module/*/module_state.pkl"
_OPTIMIZER = "learner_group/learner/state.pkl"


@dataclass(frozen=True)
class Resumption:
    """Where to go on from. Without `run` a new run begins with the checkpoint's networks."""

    checkpoint: Path
    run: RunDirectory | None = None
    counters: CheckpointInfo | None = None

    @property
    def origin(self) -> RunDirectory | None:
        """The run that the checkpoint is of, unless its folder lies elsewhere."""
        around = RunDirectory(self.checkpoint.parent)
        return self.run or (around if (around.path / "config.json").is_file() else None)


def find_resumption(reference: str, runs_root: Path) -> Resumption:
    """`RUN` (its last checkpoint), `RUN@NUMBER`, or the folder of any RLlib checkpoint."""
    folder = Path(reference).expanduser()
    if (folder / "rllib_checkpoint.json").is_file():
        if not is_whole(folder):
            raise SavannaError(f"checkpoint {folder} is damaged.")
        return Resumption(folder.resolve())
    name, _, number = reference.partition("@")
    run = RunDirectory.find(name, runs_root)
    counters = run.checkpoint(number or "last")
    path = run.checkpoint_path(counters.number)
    if not is_whole(path):
        others = [
            str(c.number) for c in run.checkpoints() if is_whole(run.checkpoint_path(c.number))
        ]
        hint = f" Try --resume {name}@{others[-1]}." if others else " No other is left."
        raise SavannaError(
            f"checkpoint {counters.number} of run {run.id} is damaged: {path}.{hint}"
        )
    return Resumption(path, run, counters)


def rewind(run: RunDirectory, to: CheckpointInfo) -> str | None:
    """Set aside what came after checkpoint `to`: it will be made again, and differently.

    Rows of `metrics.csv` go to `metrics-discarded.csv`, checkpoints and films to `discarded/`.
    Says so in a line where there were checkpoints.
    """
    _rewind_metrics(run, to)
    aside = run.path / DISCARDED
    checkpoints = [c for c in run.checkpoints() if c.number > to.number]
    run.forget_checkpoints(c.number for c in checkpoints)
    gone = [run.checkpoint_path(c.number) for c in checkpoints]
    gone += films_after(run, to, [path.name for path in gone])
    for path in gone:
        place = aside / path.relative_to(run.path)
        place.parent.mkdir(exist_ok=True, parents=True)
        path.replace(place)
    if not checkpoints:
        return None
    return f"Checkpoints after {to.number} of {run.id}, and their films, are now in {aside}."


def last_number(run: RunDirectory) -> int:
    """The highest number that a checkpoint of the run has ever had; -1 without any."""
    found = [*run.path.glob("checkpoint_*"), *run.path.glob(f"{DISCARDED}/checkpoint_*")]
    numbers = [int(n) for path in found if (n := path.name.partition("_")[2]).isdigit()]
    return max(numbers, default=-1)


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
    temporary = file.with_name(".metrics.csv.tmp")
    with temporary.open("w", newline="") as handle:
        csv.writer(handle).writerows([header, *(row for row in whole if row not in later)])
    temporary.replace(file)


def is_whole(checkpoint: Path) -> bool:
    """Whether the parts are there and the small ones can be read; the rest shows on loading."""
    try:
        json.loads((checkpoint / "rllib_checkpoint.json").read_text())
        networks = list(checkpoint.glob(_NETWORKS))
        for file in (checkpoint / _STATE, *networks):
            with file.open("rb") as handle:
                pickle.load(handle)
        components = [checkpoint / part for part in ("", "learner_group", "learner_group/learner")]
        parts = [file for file in checkpoint.rglob("*") if file.is_file()]
        named = all((folder / "class_and_ctor_args.pkl").is_file() for folder in components)
        needed = (*parts, checkpoint / _OPTIMIZER)
        return named and bool(networks) and all(file.stat().st_size > 0 for file in needed)
    except Exception:  # whatever a damaged file makes of unpickling
        return False
