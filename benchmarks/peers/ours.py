"""Our candidate: the command `savanna train particle` with its preset, in its own process."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from benchmarks.peers.environments import BUILD
from benchmarks.peers.results import Look, Outcome
from benchmarks.training_run import end, start
from savanna.runs.checkpoints import CheckpointInfo
from savanna.runs.directory import RunDirectory

AGENTS = 3
CHECKPOINT_FREQUENCY = 10
"""In iterations of a few seconds each: often enough to find one near any moment."""


def run(orders: dict[str, Any]) -> Outcome:
    """Train, then play the checkpoints. Takes the same orders as the peers."""
    options = ("--checkpoint-freq", str(CHECKPOINT_FREQUENCY), "--film-every", "0")
    root = BUILD / "runs"
    finished = end(start(orders["seed"], orders["seconds"], root, *options), root)
    chosen = spaced(finished.checkpoints(), orders["every"])
    looks = [_look(finished, info, orders, last=info is chosen[-1]) for info in chosen]
    config = finished.config
    settings = ", ".join(f"{key} {value}" for key, value in sorted(config["preset"].items()))
    versions = {name: version(name) for name in ("ray", "torch")}
    return Outcome("ours", "Savanna, the shipped preset", versions, settings, tuple(looks))


def spaced(checkpoints: Sequence[CheckpointInfo], every: float) -> list[CheckpointInfo]:
    """The first checkpoint after each multiple of `every` seconds, and the last of all."""
    chosen: list[CheckpointInfo] = []
    due = every
    for info in checkpoints[:-1]:
        if info.seconds >= due:
            chosen.append(info)
            due = (info.seconds // every + 1) * every
    return [*chosen, checkpoints[-1]]


def _look(run: RunDirectory, info: CheckpointInfo, orders: dict[str, Any], last: bool) -> Look:
    from savanna.evaluation import evaluate

    episodes = orders["episodes" if last else "curve_episodes"]
    found = evaluate(run, str(info.number), episodes=episodes, seed=orders["evaluation_seed"])
    return Look(info.seconds, info.agent_steps // AGENTS, found[0].returns)
