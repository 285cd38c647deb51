"""What the user asked for, before any of it is resolved."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class TrainRequest:
    """One `savanna train` command. `None` means: as the experiment or the resumed run has it."""

    experiment: str
    env: str | None = None
    seed: int | None = None
    overrides: dict[str, Any] = field(default_factory=dict)  # RLlib config keys, dots for nesting
    search: dict[str, str] = field(default_factory=dict)  # key -> search space, as written
    stop: dict[str, float] = field(default_factory=dict)  # keys of training.metrics.STOP_RULES
    keep_default_stop: bool = True
    checkpoint_freq: int | None = None  # iterations; 0: none on the way
    checkpoint_at_end: bool = True
    keep: int = 5  # checkpoints
    storage: str | None = None  # a location; "none": not even SAVANNA_STORAGE's
    runs_root: Path = Path("runs")
    max_duration: float | None = None  # seconds, for the whole command
    max_failures: int = 0
    num_samples: int = 1
    address: str | None = None  # of a running Ray cluster
    workers: int | None = None  # nodes of that cluster to wait for, besides the head
    min_workers: int | None = None  # as many are enough to start
    start_timeout: float | None = None  # seconds to wait for them
    resume: str | None = None  # a run, run@checkpoint, or a checkpoint folder
    num_env_runners: int | None = None
    num_gpus: int | None = None
    evaluate_episodes: int = 10  # of every kept checkpoint after training; 0: none
    video: bool = True
    film_every: int | None = None  # episodes; 0: none while training
    report: bool = True
    command: tuple[str, ...] = ()
