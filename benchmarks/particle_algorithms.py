"""`make bench-algorithms`: MADDPG compared with RLlib's PPO on simple_spread, each run alone."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchmarks.curves import draw
from benchmarks.page import PAGE, hardware, keep
from benchmarks.particle_seeds import CHECKPOINT_FREQUENCY, Seed, check_least, look
from benchmarks.training_run import ROOT, end, start
from savanna.cli.parser import Parser
from savanna.errors import SavannaError, UsageError
from savanna.experiments.particle import OLD_TARGET
from savanna.report.chart_data import Reference

SECONDS, EPISODES = 180.0, 1000
"""The choices that docs/performance.md shows; results of others are only printed."""

PARTS = (1 / 4, 3 / 4, 1)
"""Fractions of the training time; the checkpoint nearest to each is played."""

CANDIDATES = {
    "MADDPG, continuous": (),
    "MADDPG, discrete": ("--actions", "discrete"),
    "PPO, one network, discrete": ("--algorithm", "ppo"),
    "PPO, one per agent, discrete": ("--algorithm", "ippo"),
    "PPO, one network, continuous": ("--algorithm", "ppo", "--actions", "continuous"),
}
"""Name -> options of `savanna train particle`; PPO's actions are discrete by default."""


def parse(argv: list[str]) -> Any:
    """The options. Raises `UsageError` with one line."""
    parser = Parser(prog="python -m benchmarks.particle_algorithms", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="training time of each run")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--episodes", type=int, default=EPISODES, help="episodes played by each checkpoint"
    )
    parser.add_argument("--runs-root", type=Path, default=ROOT / "build" / "particle-algorithms")
    options = parser.parse_all(argv)
    check_least(options)
    return options


def measure(name: str, options: Any) -> Seed:
    """Train one candidate and play its checkpoints."""
    print(f"{name}: {options.seconds:g} s ...", file=sys.stderr)
    root = options.runs_root / name.replace(", ", "-").replace(" ", "-")
    often = ("--checkpoint-freq", str(CHECKPOINT_FREQUENCY))
    run = end(start(options.seed, options.seconds, root, *often, *CANDIDATES[name]), root)
    return look(options.seed, run, options, PARTS)


def table(results: dict[str, Seed], seconds: float) -> str:
    """The candidates in Markdown."""
    marks = [f"greedy return after about {part * seconds:.0f} s" for part in PARTS]
    lines = [
        "| simple_spread | " + " | ".join(marks) + " | world steps per second |",
        "| --- |" + " ---: |" * (len(marks) + 1),
    ]
    lines += [f"| {name} | {result.cells()} |" for name, result in results.items()]
    return "\n".join(lines)


def keep_page(results: dict[str, Seed]) -> None:
    """Put the table and the curves into docs/performance.md."""
    how = hardware("One run each, one after the other, seed 0")
    draw(
        PAGE.parent / "images" / "particle-algorithms.svg",
        "Mean return of 100 episodes over training time",
        [result.curve(name) for name, result in results.items()],
        [Reference("", "level", OLD_TARGET)],
    )
    picture = "![Training return of the algorithms over time](images/particle-algorithms.svg)"
    keep("particle-algorithms", f"{table(results, SECONDS)}\n\n{picture}\n\n{how}")


def main(argv: list[str]) -> int:
    try:
        options = parse(argv)
        results = {name: measure(name, options) for name in CANDIDATES}
    except SavannaError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    print(table(results, options.seconds))
    if (options.seconds, options.seed, options.episodes) == (SECONDS, 0, EPISODES):
        keep_page(results)
    else:
        print("time, seed or episodes differ from the page's: it is left alone", file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
