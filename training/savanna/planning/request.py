"""What the user asked for, before any of it is resolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from savanna.experiments import Experiment


@dataclass(frozen=True)
class TrainRequest:
    """One `savanna train` command. `None`: the value of the experiment or the resumed run."""

    experiment: str | None = None
    algorithm: str | None = None
    env: str | None = None
    seed: int | None = None
    seeds: int | tuple[int, ...] = 1
    """How many seeds to run, counting from `seed`, or which ones."""
    overrides: dict[str, Any] = field(default_factory=dict)  # RLlib config keys, dots for nesting
    search: dict[str, str] = field(default_factory=dict)  # key -> search space, as written
    stop: dict[str, float] = field(default_factory=dict)  # rules of savanna.planning.target_return
    keep_default_stop: bool = True
    checkpoint_freq: int | None = None
    checkpoint_at_end: bool | None = None
    keep: int | None = None
    storage: str | None = None  # a location; "none" overrides SAVANNA_STORAGE too
    runs_root: Path = Path("runs")
    max_duration: float | None = None  # seconds, for the whole command
    max_failures: int | None = None
    num_samples: int = 1  # draws from the search spaces; without a search, seeds
    address: str | None = None  # of a running Ray cluster
    workers: int | None = None  # nodes of that cluster to wait for, besides the head
    min_workers: int | None = None  # start once this many have joined
    start_timeout: float | None = None  # seconds to wait for them
    resume: str | None = None  # a run, run@checkpoint, or a checkpoint folder
    resume_group: str | None = None  # the name of a group, whose command this is again
    num_env_runners: int | None = None
    num_gpus: int | None = None
    evaluate_episodes: int | None = None
    video: bool | None = None
    film_every: int | None = None
    report: bool | None = None
    command: tuple[str, ...] = ()
    own_process: bool = True  # else it belongs to the caller, and must go on
    debug: bool = False  # show how long each phase of the startup took
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of a resumed run: what its config was built with (`savanna.planning.resumed_settings`)."""
    group: Mapping[str, Any] | None = None
    """Of a resumed run: the group that it belongs to (`savanna.runs.group`)."""

    def seeds_from(self, default: int) -> tuple[int, ...]:
        """The seed of each run; in a search, every draw runs with all of them."""
        if isinstance(self.seeds, tuple):
            return self.seeds
        first = default if self.seed is None else self.seed
        count = self.seeds if self.search else max(self.seeds, self.num_samples)
        return tuple(range(first, first + count))

    @property
    def several(self) -> bool:
        """Whether it asks for more than one run."""
        return bool(self.search) or self.num_samples > 1 or self.seeds != 1

    @property
    def unresolved(self) -> bool:
        """Whether experiment and environment come from a run that is not read yet."""
        return self.resume is not None and self.experiment is None


@dataclass(frozen=True)
class Kept:
    """Options that a resumed run keeps unless the command gives others."""

    checkpoint_freq: int  # iterations; 0: none during training
    film_every: int  # episodes per world between two films during training; 0: none
    checkpoint_at_end: bool = True
    keep: int = 5  # checkpoints
    max_failures: int = 0
    evaluate_episodes: int = 10  # per kept checkpoint, after training; 0: none
    video: bool = True
    report: bool = True

    @classmethod
    def of(cls, request: TrainRequest, experiment: Experiment) -> Kept:
        """The options of `request`, else of the experiment, else the defaults above."""
        own = {
            "checkpoint_freq": experiment.checkpoint_frequency,
            "film_every": experiment.film_every,
        }
        given = {f.name: getattr(request, f.name) for f in fields(cls)}
        return cls(**own | {name: v for name, v in given.items() if v is not None})
