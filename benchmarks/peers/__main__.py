"""`make bench-peers`: compares our MADDPG with AgileRL's and XuanCe's on simple_spread in one run.

Each trains alone for the same time; then its policy plays without noise in its own world.
"""

from __future__ import annotations

import sys
from typing import Any

from benchmarks.curves import Curve, draw
from benchmarks.page import PAGE, hardware, keep
from benchmarks.peers import ours, theirs
from benchmarks.peers.environments import python_of
from benchmarks.peers.process import ADAPTERS
from benchmarks.peers.reference import record
from benchmarks.peers.results import Outcome, on_old_scale, table
from savanna.cli.parser import Parser
from savanna.errors import SavannaError, UsageError

CANDIDATES = ("ours", *ADAPTERS)
SECONDS, EPISODES = 300.0, 1000
"""The choices that docs/performance.md shows; results of others are only printed."""

CURVE_EPISODES = 200
EVALUATION_SEED = 10_000


def parse(argv: list[str]) -> Any:
    """The options. Raises `UsageError` with one line."""
    parser = Parser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help="training time of each candidate"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of every candidate's training")
    parser.add_argument(
        "--episodes", type=int, default=EPISODES, help="episodes played by the last policies"
    )
    parser.add_argument(
        "--every",
        type=float,
        default=30,
        metavar="SECONDS",
        help="time between points of the curves",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=CANDIDATES,
        default=list(CANDIDATES),
        help="only these candidates; the results are then printed, not kept",
    )
    options = parser.parse_all(argv)
    for name, least in (("seconds", 1), ("every", 1), ("episodes", 2)):
        if not getattr(options, name) >= least:
            raise UsageError(f"--{name} {getattr(options, name):g}: must be at least {least}.")
    return options


def compare(options: Any) -> list[Outcome]:
    """Run the candidates, after checking all worlds."""
    orders = {
        "seed": options.seed,
        "seconds": options.seconds,
        "every": options.every,
        "episodes": options.episodes,
        "curve_episodes": min(CURVE_EPISODES, options.episodes),
        "evaluation_seed": EVALUATION_SEED,
        "reference": record(),
    }
    pythons = {name: python_of(name) for name in ADAPTERS if name in options.only}
    for name, python in pythons.items():
        print(f"checking the world of {name} ...", file=sys.stderr, flush=True)
        theirs.check(name, python, orders)
    outcomes = []
    for name in (name for name in CANDIDATES if name in options.only):
        print(f"training {name} for {options.seconds:g} s ...", file=sys.stderr, flush=True)
        found = ours.run(orders) if name == "ours" else theirs.run(name, pythons[name], orders)
        outcomes.append(found)
    return outcomes


def curve(outcome: Outcome) -> Curve:
    points = [(look.seconds, on_old_scale(look.returns)[0]) for look in outcome.looks]
    return Curve(outcome.title, [x for x, _ in points], [y for _, y in points])


def main(argv: list[str]) -> int:
    try:
        options = parse(argv)
        outcomes = compare(options)
    except SavannaError as error:
        print(error, file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    found = table(outcomes)
    how = hardware(  # before the picture makes the commit dirty
        f"One run, one candidate after the other, seed {options.seed}, returns of "
        f"{options.episodes:,} episodes with their standard error"
    )
    print(found)
    given = (set(options.only), options.seconds, options.seed, options.episodes)
    if given != (set(CANDIDATES), SECONDS, 0, EPISODES):
        print(
            "candidates, times, seeds or episodes differ from the page's: it is left alone",
            file=sys.stderr,
        )
    else:
        image = PAGE.parent / "images" / "particle-peers.svg"
        draw(image, "Greedy return over training time", [curve(outcome) for outcome in outcomes])
        picture = "![Greedy return over training time](images/particle-peers.svg)"
        keep("peers", f"{found}\n\n{picture}\n\n{how}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
