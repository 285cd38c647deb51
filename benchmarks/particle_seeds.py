"""`make bench-seeds`: how fast and how well `savanna train particle` learns with three seeds."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.curves import COLOURS, Curve, draw
from benchmarks.page import PAGE, hardware, keep
from benchmarks.peers.results import on_old_scale
from benchmarks.training_run import ROOT, end, start
from savanna.cli.parser import Parser
from savanna.errors import SavannaError, UsageError
from savanna.experiments.particle import OLD_TARGET
from savanna.report.chart_data import Reference
from savanna.runs.checkpoints import CheckpointInfo
from savanna.runs.directory import RunDirectory

AGENTS = 3
SEEDS, SECONDS, EPISODES = [0, 1, 2], 1800.0, 1000
"""The choices that docs/performance.md shows; results of others are only printed."""

FURTHER = -370.0
"""Another level to draw: above what agents reach that each go to their own landmark."""

PARTS = (1 / 6, 1 / 3, 2 / 3, 1)
"""Fractions of the training time; the checkpoint nearest to each is played."""

CHECKPOINT_FREQUENCY = 10
"""In iterations of a few seconds each: often enough to find one near any moment."""

EVALUATION_SEED = 10_000


@dataclass(frozen=True)
class Seed:
    """The results of one run."""

    seed: int
    rows: list[dict[str, float]]  # of metrics.csv
    played: list[tuple[float, float, float]]
    """Per checkpoint: seconds of training, mean and standard error on the old scale."""

    def cells(self) -> str:
        """The last cells of its row: greedy returns, and world steps per second."""
        last = self.rows[-1]
        rate = last["agent_steps"] / AGENTS / last["seconds"]
        played = [f"{mean:.1f} ± {error:.1f} ({at:.0f} s)" for at, mean, error in self.played]
        return " | ".join([*played, f"{rate:,.0f}"])

    def curve(self, name: str) -> Curve:
        """Its training returns."""
        columns = [[row[key] for row in self.rows] for key in ("seconds", "old_return_mean")]
        return Curve(name, *columns)


def parse(argv: list[str]) -> Any:
    """The options. Raises `UsageError` with one line."""
    parser = Parser(prog="python -m benchmarks.particle_seeds", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="training time of each run")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument(
        "--episodes", type=int, default=EPISODES, help="episodes played by each checkpoint"
    )
    parser.add_argument(
        "--in-turn", action="store_true", help="one run after the other, not all at once"
    )
    parser.add_argument("--runs-root", type=Path, default=ROOT / "build" / "particle-seeds")
    options = parser.parse_all(argv)
    check_least(options)
    if len(options.seeds) > len(COLOURS):
        raise UsageError(f"--seeds: at most {len(COLOURS)}, the number of colours.")
    if len(set(options.seeds)) < len(options.seeds):
        raise UsageError(f"--seeds {' '.join(map(str, options.seeds))}: one is given twice.")
    return options


def check_least(options: Any) -> None:
    """Raise `UsageError` for too short a time or too few episodes."""
    for name, least in (("seconds", 1), ("episodes", 2)):
        if not getattr(options, name) >= least:
            raise UsageError(f"--{name} {getattr(options, name):g}: must be at least {least}.")


def train_all(options: Any) -> list[RunDirectory]:
    """The finished runs, in the order of the seeds; each has its own MLflow store and Ray."""
    how = "one after the other" if options.in_turn else "at the same time"
    seeds = " ".join(map(str, options.seeds))
    print(f"training seeds {seeds} {how}, {options.seconds:g} s each ...", file=sys.stderr)
    roots = [options.runs_root / f"seed-{seed}" for seed in options.seeds]
    often = ("--checkpoint-freq", str(CHECKPOINT_FREQUENCY))
    pairs = list(zip(options.seeds, roots, strict=True))
    if options.in_turn:
        return [end(start(seed, options.seconds, root, *often), root) for seed, root in pairs]
    processes = [start(seed, options.seconds, root, *often) for seed, root in pairs]
    try:
        return [end(process, root) for process, root in zip(processes, roots, strict=True)]
    finally:
        for process in processes:
            process.terminate()


def look(seed: int, run: RunDirectory, options: Any, parts: Sequence[float] = PARTS) -> Seed:
    """Play the checkpoint nearest to each of the `parts` of the time."""
    from savanna.evaluation import evaluate

    played: list[tuple[float, float, float]] = []
    for part in parts:
        info = nearest(run.checkpoints(), part * options.seconds)
        found = evaluate(run, str(info.number), episodes=options.episodes, seed=EVALUATION_SEED)
        played.append((info.seconds, *on_old_scale(found[0].returns)))
    return Seed(seed, run.metrics(), played)


def nearest(checkpoints: Sequence[CheckpointInfo], seconds: float) -> CheckpointInfo:
    """The checkpoint nearest to a moment; there is always one at the end."""
    return min(checkpoints, key=lambda info: abs(info.seconds - seconds))


def seconds_to(rows: list[dict[str, float]], level: float) -> float | None:
    """Seconds of training until the mean return of 100 episodes is first above `level`."""
    return next((row["seconds"] for row in rows if row["old_return_mean"] > level), None)


def table(seeds: list[Seed], seconds: float) -> str:
    """The runs in Markdown, with the median of the times below."""
    marks = [f"greedy return after about {part * seconds:.0f} s" for part in PARTS]
    lines = [
        f"| seed | seconds to {OLD_TARGET:g} | "
        + " | ".join(marks)
        + " | world steps per second |",
        "| --- |" + " ---: |" * (len(marks) + 2),
    ]
    times = [seconds_to(seed.rows, OLD_TARGET) for seed in seeds]
    for seed, reached in zip(seeds, times, strict=True):
        when = "not reached" if reached is None else f"{reached:.0f}"
        lines.append(f"| {seed.seed} | {when} | {seed.cells()} |")
    known = [reached for reached in times if reached is not None]
    if len(known) == len(times):
        lines += ["", f"The median time is {statistics.median(known):.0f} s."]
    return "\n".join(lines)


def keep_page(seeds: list[Seed], how: str) -> None:
    """Put the table and the curves into docs/performance.md."""
    how = hardware(how)  # before the picture makes the commit dirty
    draw(
        PAGE.parent / "images" / "particle-seeds.svg",
        "Mean return of 100 episodes over training time",
        [seed.curve(f"seed {seed.seed}") for seed in seeds],
        [Reference("", "level", OLD_TARGET), Reference("", "level", FURTHER, "end")],
    )
    picture = "![Training return of the seeds over time](images/particle-seeds.svg)"
    keep("particle-seeds", f"{table(seeds, SECONDS)}\n\n{picture}\n\n{how}")


def main(argv: list[str]) -> int:
    try:
        options = parse(argv)
        runs = train_all(options)
        pairs = zip(options.seeds, runs, strict=True)
        seeds = [look(seed, run, options) for seed, run in pairs]
    except SavannaError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(table(seeds, options.seconds))
    if (options.seconds, options.seeds, options.episodes) == (SECONDS, SEEDS, EPISODES):
        keep_page(seeds, "One after the other" if options.in_turn else f"{len(seeds)} runs at once")
    else:
        print(
            "seeds, seconds or episodes differ from the page's: it is left alone", file=sys.stderr
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
