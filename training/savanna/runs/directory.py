"""The run directory: everything one run leaves behind, readable without Ray.

runs/<experiment>/<utc time>-s<seed>/
    config.json        what was run: experiment, env, resolved RLlib config, stop rules
    metadata.json      versions, git commit, hardware, seed, command; never the environment
    status.json        state, reason, times; rewritten as the run goes on
    metrics.csv        one row an iteration (savanna.metrics.COLUMNS)
    checkpoints.json   an index of the checkpoints that exist
    checkpoint_000000/ written by Ray Tune
    evaluations.json   what `savanna evaluate` measured
    references.json    what random and scripted players score (particle worlds)
    discarded/         what came after a checkpoint that the run went back to
    tensorboard/  videos/  train.log  report.html
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from savanna.errors import SavannaError, UsageError
from savanna.next_command import DEFAULT_ROOT, next_command

REFERENCES = "references.json"
DISCARDED = "discarded"
"""Folder of what came after a checkpoint that the run went back to."""

LATEST = "latest"
"""In the folder of the runs, what leads to the newest one: a link, or a file with its path."""

STATES = ("running", "succeeded", "stopped", "failed")


@dataclass(frozen=True)
class CheckpointInfo:
    """One saved checkpoint; the numbers are those of the iteration it was written after."""

    number: int  # the suffix of its folder
    iteration: int
    agent_steps: int
    seconds: float
    episode_return_mean: float


@dataclass(frozen=True)
class RunDirectory:
    """Typed access to one run directory. Reading needs neither Ray nor torch."""

    path: Path

    @classmethod
    def create(cls, root: Path, experiment: str, seed: int) -> RunDirectory:
        """Make a new run directory under `root` and point `root/latest` at it."""
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        base = root / experiment / f"{stamp}-s{seed}"
        path, attempt = base, 1
        while path.exists():
            attempt += 1
            path = base.with_name(f"{base.name}-{attempt}")
        path.mkdir(parents=True)
        run = cls(path.resolve())
        run.mark_latest(root)
        return run

    @classmethod
    def find(cls, reference: str, root: Path = DEFAULT_ROOT) -> RunDirectory:
        """The run that `reference` names: a path, `latest`, an id, or `experiment/id`."""
        candidates = [
            Path(reference).expanduser(),
            root / reference,
            *sorted(root.glob(f"*/{reference}")),
        ]
        for candidate in map(_followed, candidates):
            if (candidate / "config.json").is_file():
                return cls(candidate.resolve())
        listing = next_command("runs", root=root)
        raise UsageError(
            f"no run {reference!r} here or in {root}/. `{listing}` lists the runs there are."
        )

    def mark_latest(self, root: Path) -> None:
        """Make `root/latest` a link to this run, or a file with its path where links cannot be."""
        link, temporary = root / LATEST, root / f".latest-{os.getpid()}"
        target = os.path.relpath(self.path, root.resolve())
        temporary.unlink(missing_ok=True)
        try:
            temporary.symlink_to(target)
        except OSError:  # SMB shares such as Azure Files, FAT; another failure shows in writing
            temporary.write_text(target + "\n")
        temporary.replace(link)

    @property
    def id(self) -> str:
        return self.path.name

    @property
    def experiment(self) -> str:
        return str(self.config.get("experiment", self.path.parent.name))

    @property
    def config(self) -> dict[str, Any]:
        return self.read_json("config.json", {})

    @property
    def metadata(self) -> dict[str, Any]:
        return self.read_json("metadata.json", {})

    @property
    def status(self) -> dict[str, Any]:
        return self.read_json("status.json", {})

    @property
    def videos(self) -> Path:
        return self.path / "videos"

    @property
    def log(self) -> Path:
        return self.path / "train.log"

    def metrics(self) -> list[dict[str, float]]:
        """Rows of `metrics.csv` as numbers; an unfinished last line is left out."""
        file = self.path / "metrics.csv"
        if not file.is_file():
            return []
        rows = []
        try:
            with file.open(newline="") as handle:
                for row in csv.DictReader(handle):
                    with contextlib.suppress(TypeError, ValueError):
                        rows.append({name: float(value) for name, value in row.items()})
        except OSError as error:
            raise SavannaError(f"cannot read {file}: {error.strerror}") from error
        except (csv.Error, UnicodeDecodeError) as error:
            raise SavannaError(f"{file} is not a table of numbers: {error}") from error
        return rows

    def node_shares(self) -> dict[str, float]:
        """Machine (IP address) -> its part of the sampled agent steps; empty where not counted."""
        steps = self.read_json("nodes.json", {})
        total = sum(steps.values())
        return {node: steps[node] / total for node in sorted(steps)} if total else {}

    def checkpoints(self) -> list[CheckpointInfo]:
        """The checkpoints still on disk, oldest first."""
        try:
            listed = [CheckpointInfo(**entry) for entry in self.read_json("checkpoints.json", [])]
        except TypeError as error:
            raise SavannaError(f"{self.path / 'checkpoints.json'} is damaged: {error}") from error
        return [c for c in listed if self.checkpoint_path(c.number).is_dir()]

    def checkpoint_path(self, number: int) -> Path:
        return self.path / f"checkpoint_{number:06d}"

    def add_checkpoint(self, info: CheckpointInfo) -> None:
        kept = [c for c in self.checkpoints() if c.number != info.number]
        self.write_json("checkpoints.json", [asdict(c) for c in (*kept, info)])

    def forget_checkpoints(self, numbers: Iterable[int]) -> None:
        """Drop checkpoints, and what they scored, from the indexes; their folders stay."""
        gone = set(numbers)
        for file, key in (("checkpoints.json", "number"), ("evaluations.json", "checkpoint")):
            entries = self.read_json(file, [])
            left = [entry for entry in entries if entry[key] not in gone]
            if left != entries:
                self.write_json(file, left)

    def checkpoint(self, which: str = "best") -> CheckpointInfo:
        """`best`, `last` or a number.

        Best is by evaluated return (`evaluations.json`) where checkpoints were evaluated, else
        by the return in training. Raises `UsageError` where there is no such checkpoint.
        """
        available = self.checkpoints()
        if not available:
            raise UsageError(f"run {self.id} has no checkpoint (yet): {self.path}")
        if which == "last":
            return available[-1]
        if which == "best":
            scores = self.evaluated_returns()
            scored = [c for c in available if c.number in scores]
            if scored:
                return max(scored, key=lambda c: (scores[c.number], c.iteration))
            return max(available, key=lambda c: (_or_lowest(c.episode_return_mean), c.iteration))
        for info in available:
            if which.isdigit() and info.number == int(which):
                return info
        numbers = ", ".join(str(c.number) for c in available)
        raise UsageError(
            f"run {self.id} has no checkpoint {which!r}. There are: best, last, {numbers}."
        )

    def evaluated_returns(self) -> dict[int, float]:
        """Checkpoint number -> mean evaluated return (the newest evaluation of each)."""
        return {
            int(e["checkpoint"]): float(e["mean"])
            for e in self.read_json("evaluations.json", [])
            if not e["explore"]
        }

    def read_json(self, name: str, default: Any = None) -> Any:
        """Content of a JSON file; `default` (or an empty dict) where it does not exist.

        Raises `SavannaError` that names the file where it is unreadable, or holds another kind of
        thing than a given `default` is.
        """
        file = self.path / name
        kind = (dict, list) if default is None else type(default)
        if not file.is_file():
            return {} if default is None else default
        try:
            text = file.read_text()
            content = json.loads(text)
        except OSError as error:
            raise SavannaError(f"cannot read {file}: {error.strerror}") from error
        except ValueError as error:
            what = f"not valid JSON: {error}" if file.stat().st_size else "empty"
            raise SavannaError(f"{file} is {what}") from error
        if not isinstance(content, kind):
            raise SavannaError(f"{file} is damaged: it holds {text.strip()[:40]!r}")
        return content

    def write_json(self, name: str, content: Any) -> None:
        """Replace a JSON file in one step, so that a reader never sees half of it."""
        temporary = self.path / f".{name}.tmp"
        temporary.write_text(json.dumps(content, indent=2) + "\n")
        temporary.replace(self.path / name)


def film_iteration(film: Path) -> int:
    """The iteration after which a film of training was made: `episode-E-iteration-I.mp4`."""
    return int(film.stem.rpartition("-")[2])


def _followed(path: Path) -> Path:
    """Where a file that stands for a link leads; `path` itself otherwise."""
    if path.name != LATEST or not path.is_file():
        return path
    return path.parent / path.read_text().strip()


def _or_lowest(value: float) -> float:
    return value if value == value else float("-inf")
