"""A run's checkpoints: complete or absent, numbered once and for all, only the best kept.

A checkpoint is a folder `checkpoint_000003` with RLlib's files and a manifest, `checkpoint.json`,
with the counters of the iteration it was written after and the size of every file. It is written
under another name and renamed once it is complete.
"""

from __future__ import annotations

import json
import math
import pickle
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from savanna.files import sync
from savanna.metrics import IterationResult
from savanna.old_names import old_names

MANIFEST = "checkpoint.json"
DISCARDED = "discarded"
"""Folder for what came after a checkpoint that the run was rewound to."""

_NAME = re.compile(r"checkpoint_(\d+)")
_STATE = "algorithm_state.pkl"
_NETWORKS = "learner_group/learner/rl_module/*/module_state.pkl"
_OPTIMIZER = "learner_group/learner/state.pkl"


@dataclass(frozen=True)
class CheckpointInfo:
    """One saved checkpoint; the numbers are those of the iteration it was written after."""

    number: int  # the suffix of its folder
    iteration: int
    agent_steps: int
    seconds: float
    episode_return_mean: float


def path_of(run: Path, number: int) -> Path:
    return run / f"checkpoint_{number:06d}"


def number_of(name: str) -> int | None:
    """The number of a checkpoint's folder; `None` where `name` is not one."""
    found = _NAME.fullmatch(name)
    return int(found[1]) if found else None


def write_checkpoint(
    run: Path, result: IterationResult, save: Callable[[Path], object]
) -> CheckpointInfo:
    """Let `save` fill a folder, and make it the run's newest checkpoint, written after `result`.

    If `save` raises an error, the error is passed on and nothing is left behind.
    """
    number = last_number(run) + 1
    partial = run / f".checkpoint_{number:06d}"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir()
        save(partial)
        info = CheckpointInfo(
            number, result.iteration, result.agent_steps, result.seconds, result.episode_return_mean
        )
        describe(partial, info)
        for file in filter(Path.is_file, partial.rglob("*")):
            sync(file)
        partial.replace(path_of(run, number))
    except BaseException as error:
        shutil.rmtree(partial, ignore_errors=True)
        if isinstance(error, OSError):
            error.filename = str(path_of(run, number))
        raise
    return info


def describe(folder: Path, info: CheckpointInfo) -> None:
    """Write the manifest of the checkpoint in `folder`."""
    manifest: dict[str, Any] = asdict(info)
    del manifest["number"]
    manifest["files"] = {
        str(file.relative_to(folder)): file.stat().st_size
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name != MANIFEST
    }
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")


def checkpoints_in(run: Path) -> list[CheckpointInfo]:
    """The checkpoints of a run directory, oldest first."""
    found = {c.number: c for c in _listed_before(run) if path_of(run, c.number).is_dir()}
    for folder in run.glob("checkpoint_*"):
        number, manifest = number_of(folder.name), _manifest(folder)
        if number is not None and manifest is not None:
            counters = {name: value for name, value in manifest.items() if name != "files"}
            found[number] = CheckpointInfo(number=number, **counters)
    return [found[number] for number in sorted(found)]


def newest_whole(run: Path) -> CheckpointInfo | None:
    """The newest checkpoint of a run directory that is not damaged."""
    there = reversed(checkpoints_in(run))
    return next((info for info in there if is_whole(path_of(run, info.number))), None)


def last_number(run: Path) -> int:
    """The highest number that a checkpoint of the run has ever had; -1 without any."""
    found = [*run.glob("checkpoint_*"), *run.glob(f"{DISCARDED}/checkpoint_*")]
    numbers = [number for path in found if (number := number_of(path.name)) is not None]
    return max(numbers, default=-1)


def delete_all_but_best(run: Path, keep: int) -> None:
    """Keep the `keep` checkpoints with the highest return, and the newest."""
    there = checkpoints_in(run)
    ranked = sorted(there, key=lambda c: (or_lowest(c.episode_return_mean), c.iteration))
    for info in ranked[:-keep]:
        if info != there[-1]:
            delete(path_of(run, info.number))


def delete(folder: Path) -> None:
    """Delete a checkpoint; nobody ever sees half of one."""
    gone = folder.with_name(f".gone-{folder.name}")
    folder.replace(gone)
    shutil.rmtree(gone, ignore_errors=True)


def delete_unfinished(run: Path) -> None:
    """Delete what is left of a checkpoint whose writing or deletion was killed."""
    for pattern in (".checkpoint_*", ".gone-checkpoint_*"):
        for folder in run.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)


def is_whole(checkpoint: Path) -> bool:
    """Whether all parts exist and the small ones can be read; loading reveals other damage."""
    try:
        manifest = _manifest(checkpoint)
        if manifest is not None and not all(
            (checkpoint / name).stat().st_size == size for name, size in manifest["files"].items()
        ):
            return False
        json.loads((checkpoint / "rllib_checkpoint.json").read_text())
        networks = list(checkpoint.glob(_NETWORKS))
        for file in (checkpoint / _STATE, *networks):
            with file.open("rb") as handle, old_names():
                pickle.load(handle)
        components = [checkpoint / part for part in ("", "learner_group", "learner_group/learner")]
        parts = [file for file in checkpoint.rglob("*") if file.is_file()]
        named = all((folder / "class_and_ctor_args.pkl").is_file() for folder in components)
        needed = (*parts, checkpoint / _OPTIMIZER)
        return named and bool(networks) and all(file.stat().st_size > 0 for file in needed)
    except Exception:  # unpickling a damaged file may raise anything
        return False


def or_lowest(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _manifest(folder: Path) -> dict[str, Any] | None:
    try:
        content = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and "files" in content else None


def _listed_before(run: Path) -> list[CheckpointInfo]:
    """The checkpoints of an old run, which has an index instead of manifests."""
    index = run / "checkpoints.json"
    if not index.exists():
        return []
    try:
        return [CheckpointInfo(**entry) for entry in json.loads(index.read_text())]
    except (OSError, ValueError, TypeError):
        return []
