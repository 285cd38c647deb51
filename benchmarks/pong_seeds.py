"""`make bench-pong`: how long `savanna train pong` takes to a mean return of 18, seed by seed.

Seconds depend on the machine and its mood, so each run also has a budget: the agent steps that the
bare emulator, on all cores and without a network, could have made in these seconds. Its rate is
measured before and after each run.
"""

from __future__ import annotations

import statistics
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import measure
from benchmarks.curves import COLOURS, Curve, draw
from benchmarks.page import PAGE, hardware, keep
from benchmarks.training_run import ROOT, end, start
from savanna.cli.parser import Parser
from savanna.errors import SavannaError, UsageError
from savanna.report.chart_data import Reference

SEEDS = [0, 1, 2, 3, 4]
"""The seeds that docs/performance.md shows; results of others are only printed."""
TARGET = 18.0
RAW_SECONDS = 10.0


@dataclass(frozen=True)
class Run:
    """One seed's."""

    seed: int
    rows: list[dict[str, float]]  # of metrics.csv
    raw: float  # agent steps per second of the bare emulator

    @property
    def solved(self) -> dict[str, float] | None:
        """The first row at the target."""
        return next((row for row in self.rows if row["episode_return_mean"] >= TARGET), None)

    @property
    def last(self) -> dict[str, float]:
        return self.solved or self.rows[-1]

    @property
    def budget(self) -> float:
        """Agent steps that the bare emulator could have made meanwhile."""
        return self.last["seconds"] * self.raw

    def line(self) -> str:
        """Its row of the table."""
        last = self.last
        cells = [
            f"{self.seed}" + ("" if self.solved else f" (not solved: {_return(last):.1f})"),
            f"{last['seconds']:.0f}",
            f"{last['agent_steps']:,.0f}",
            f"{last['agent_steps'] / last['seconds']:,.0f}",
            f"{self.raw:,.0f}",
            f"{self.budget / 1e6:.2f}",
        ]
        return "| " + " | ".join(cells) + " |"


def _return(row: dict[str, float]) -> float:
    return row["episode_return_mean"]


def parse(argv: list[str]) -> Any:
    """The options. Raises `UsageError` with one line."""
    parser = Parser(prog="python -m benchmarks.pong_seeds", description=__doc__)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument(
        "--seconds", type=float, default=1200, help="give up on a seed after this training time"
    )
    parser.add_argument("--runs-root", type=Path, default=ROOT / "build" / "pong-seeds")
    options = parser.parse_all(argv)
    if len(options.seeds) > len(COLOURS):
        raise UsageError(f"--seeds: at most {len(COLOURS)}, the number of colours.")
    if len(set(options.seeds)) < len(options.seeds):
        raise UsageError(f"--seeds {' '.join(map(str, options.seeds))}: one is given twice.")
    if not options.seconds >= 1:
        raise UsageError(f"--seconds {options.seconds:g}: must be at least 1.")
    return options


def train(seed: int, options: Any) -> Run:
    """Train with the shipped preset, with the bare emulator measured before and after."""
    before = measure("raw", RAW_SECONDS)["sampled"]
    print(f"training with seed {seed} ...", file=sys.stderr, flush=True)
    root = options.runs_root / f"seed-{seed}"
    stop = ("--stop", f"return={TARGET:g}")
    run = end(start(seed, options.seconds, root, *stop, experiment="pong"), root)
    after = measure("raw", RAW_SECONDS)["sampled"]
    found = Run(seed, run.metrics(), (before + after) / 2)
    print(found.line(), file=sys.stderr, flush=True)
    return found


def table(runs: list[Run]) -> str:
    """The runs in Markdown, with medians and worst below."""
    lines = [
        "| seed | seconds | agent steps | trained agent steps per second | bare emulator, agent "
        "steps per second | budget, millions |",
        "| --- |" + " ---: |" * 5,
        *(run.line() for run in runs),
    ]
    if all(run.solved for run in runs):
        seconds, steps, budget = (
            [run.last["seconds"] for run in runs],
            [run.last["agent_steps"] for run in runs],
            [run.budget / 1e6 for run in runs],
        )
        lines += [
            "",
            f"Median: {statistics.median(seconds):.0f} s, {statistics.median(steps):,.0f} agent "
            f"steps, budget {statistics.median(budget):.2f} M. Worst: {max(seconds):.0f} s, "
            f"{max(steps):,.0f} agent steps, budget {max(budget):.2f} M.",
        ]
    else:
        lines += ["", f"Solved: {sum(run.solved is not None for run in runs)} of {len(runs)}."]
    return "\n".join(lines)


def keep_page(runs: list[Run]) -> None:
    """Put the table and the curves into docs/performance.md."""
    how = hardware("One after the other")  # before the picture makes the commit dirty
    curves = [
        Curve(f"seed {r.seed}", [row["seconds"] for row in r.rows], [*map(_return, r.rows)])
        for r in runs
    ]
    title = "Mean return of 100 episodes over training time"
    picture = PAGE.parent / "images" / "pong-seeds.svg"
    draw(picture, title, curves, [Reference("solved", "level", TARGET)])
    shown = "![Return over training time, seed by seed](images/pong-seeds.svg)"
    keep("pong-seeds", f"{table(runs)}\n\n{shown}\n\n{how}")


def main(argv: list[str]) -> int:
    try:
        options = parse(argv)
        runs = [train(seed, options) for seed in options.seeds]
    except SavannaError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(table(runs))
    if options.seeds == SEEDS:
        keep_page(runs)
    else:
        print("seeds differ from the page's: it is left alone", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
