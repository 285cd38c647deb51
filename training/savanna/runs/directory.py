"""The run directory: everything one run leaves behind, readable without Ray.

runs/<experiment>/<utc time>-s<seed>/
    config.json        what was run: experiment, env, resolved RLlib config, stop rules
    metadata.json      versions, git commit, hardware, seed, command; never the environment
    status.json        state, reason, times; rewritten as the run progresses
    metrics.csv        one row per iteration (savanna.metrics.COLUMNS)
    owner.json         who is writing the run (savanna.runs.owner); deleted at its end
    checkpoint_000000/ RLlib's files and a manifest (savanna.runs.checkpoints)
    evaluations.json   what `savanna evaluate` measured
    references.json    what random and scripted players score (particle worlds)
    discarded/         what came after a checkpoint that the run was rewound to
    tensorboard/  videos/  train.log  report.html
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from savanna.errors import SavannaError, UsageError, explained
from savanna.files import FULL, overwrite_json, replace_json
from savanna.next_command import DEFAULT_ROOT, next_command
from savanna.runs.checkpoints import CheckpointInfo, checkpoints_in, or_lowest, path_of

REFERENCES = "references.json"

LATEST = "latest"
"""In the runs folder, points to the newest run: a link, or a file with its path."""

STATES = ("running", "succeeded", "stopped", "failed")


def is_usual(evaluation: Mapping[str, Any]) -> bool:
    """Whether an entry of `evaluations.json` was played as is usual in its environment; runs of
    earlier versions took the most probable actions."""
    return bool(evaluation.get("usual", not evaluation.get("explore")))


@dataclass(frozen=True)
class RunDirectory:
    """Typed access to one run directory. Reading needs neither Ray nor torch."""

    path: Path

    @classmethod
    def claim(cls, folder: Path, name: str) -> RunDirectory:
        """A new, empty directory in `folder`: `name`, or `name-2` and so on if that is taken."""
        folder.mkdir(parents=True, exist_ok=True)
        path, attempt = folder / name, 1
        while True:
            try:
                path.mkdir()
                return cls(path.resolve())
            except FileExistsError:
                attempt += 1
                path = folder / f"{name}-{attempt}"

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
        raise UsageError(f"no run {reference!r} here or in {root}/. `{listing}` lists the runs.")

    def mark_latest(self, root: Path) -> None:
        """Make `root/latest` a link to this run, or a file with its path if links do not work."""
        link, temporary = root / LATEST, root / f".latest-{os.getpid()}"
        target = os.path.relpath(self.path, root.resolve())
        temporary.unlink(missing_ok=True)
        try:
            temporary.symlink_to(target)
        except OSError:  # SMB shares such as Azure Files, FAT; other errors recur on writing
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
    def stop_request(self) -> Path:
        """While this file is there, training is asked to end its iteration now."""
        return self.path / ".stop"

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
        """Machine (IP address) -> its share of the sampled agent steps; empty if not counted."""
        steps = self.read_json("nodes.json", {})
        total = sum(steps.values())
        return {node: steps[node] / total for node in sorted(steps)} if total else {}

    def checkpoints(self) -> list[CheckpointInfo]:
        """The checkpoints still on disk, oldest first."""
        return checkpoints_in(self.path)

    def checkpoint_path(self, number: int) -> Path:
        return path_of(self.path, number)

    def forget_evaluations(self, checkpoints: Iterable[int]) -> None:
        """Drop the evaluations of these checkpoints."""
        gone = set(checkpoints)
        entries = self.read_json("evaluations.json", [])
        left = [entry for entry in entries if entry["checkpoint"] not in gone]
        if left != entries:
            self.write_json("evaluations.json", left)

    def checkpoint(self, which: str = "best") -> CheckpointInfo:
        """`best`, `last` or a number.

        `best` has the highest evaluated return (`evaluations.json`) or, if no checkpoint was
        evaluated, the highest return in training. Raises `UsageError` if it does not exist.
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
                return max(scored, key=lambda c: (or_lowest(scores[c.number]), c.iteration))
            return max(available, key=lambda c: (or_lowest(c.episode_return_mean), c.iteration))
        for info in available:
            if which.isdigit() and info.number == int(which):
                return info
        numbers = ", ".join(str(c.number) for c in available)
        raise UsageError(
            f"run {self.id} has no checkpoint {which!r}. Available: best, last, {numbers}."
        )

    def evaluated_returns(self) -> dict[int, float]:
        """Checkpoint number -> mean evaluated return (the newest evaluation of each). None if
        episodes of one were cut: what they lack decides nothing."""
        usual = [e for e in self.read_json("evaluations.json", []) if is_usual(e)]
        if any(e.get("cut") for e in usual):
            return {}
        return {int(e["checkpoint"]): float(e["mean"]) for e in usual}

    def read_json(self, name: str, default: Any = None) -> Any:
        """Content of a JSON file; `default` (or an empty dict) where it does not exist.

        Raises `SavannaError` that names the file if it is unreadable, or if its content is not of
        the type of `default`.
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

    def write_json(self, name: str, content: Any, *, insist: bool = False) -> None:
        """Replace a JSON file in one step; `SavannaError` where that fails.

        With `insist` it is written into, where the disk has no room for a second one.
        """
        with self.writing():
            try:
                replace_json(self.path / name, content, durable=True)
            except OSError as error:
                if not insist or error.errno not in FULL:
                    raise
                overwrite_json(self.path / name, content)

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """In the block, `OSError` is a `SavannaError` that says what cannot be written, and why."""
        try:
            yield
        except OSError as error:
            if error.errno is None:  # a time limit, say
                raise
            if not self.path.is_dir():
                raise SavannaError(f"the run's folder has gone: {self.path}") from error
            raise SavannaError(f"cannot write {explained(error)}") from error


def _followed(path: Path) -> Path:
    """The target of `path` if it is a file in place of a link, else `path` itself."""
    if path.name != LATEST or not path.is_file():
        return path
    return path.parent / path.read_text().strip()
