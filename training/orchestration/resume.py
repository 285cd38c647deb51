"""Finding what `--resume` names, and what of it is still good."""

from __future__ import annotations

import csv
import json
import pickle
from dataclasses import dataclass
from pathlib import Path

from training.errors import SavannaError, UsageError
from training.run_directory import CheckpointInfo, RunDirectory

_STATE = "algorithm_state.pkl"
_NETWORKS = "learner_group/learner/rl_module/*/module_state.pkl"
_OPTIMIZER = "learner_group/learner/state.pkl"


@dataclass(frozen=True)
class Resumption:
    """Where to go on from. Without `run` a new run begins with the checkpoint's weights."""

    checkpoint: Path
    run: RunDirectory | None = None
    counters: CheckpointInfo | None = None


def find_resumption(reference: str, runs_root: Path) -> Resumption:
    """`RUN` (its last checkpoint), `RUN@NUMBER`, or the folder of any RLlib checkpoint."""
    folder = Path(reference)
    if (folder / "rllib_checkpoint.json").is_file():
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


def rewind(run: RunDirectory, to: CheckpointInfo) -> None:
    """Move the rows of `metrics.csv` after checkpoint `to` aside; they will be made again."""
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
