"""`savanna evaluate`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from savanna.cli.parser import Parser
from savanna.cli.values import duration
from savanna.errors import SavannaError, UsageError
from savanna.evaluation.pace import SECONDS
from savanna.recording.text import decimal
from savanna.runs.directory import RunDirectory
from savanna.streams import say, show

if TYPE_CHECKING:
    from savanna.evaluation.evaluations import Evaluation

DEFAULT_SEED = 10_000


def add_options(evaluate: Parser) -> None:
    evaluate.add_argument("--checkpoint", default="best", help="best, last, all or a number")
    evaluate.add_argument("--episodes", type=int, default=10, help="episodes to play")
    evaluate.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="seed of the first episode"
    )
    actions = evaluate.add_mutually_exclusive_group()
    actions.add_argument(
        "--explore",
        action="store_const",
        const=True,
        help="sample actions, as in training (the default of Atari games)",
    )
    actions.add_argument(
        "--greedy",
        dest="explore",
        action="store_const",
        const=False,
        help="take the most likely actions (the default of everything else)",
    )
    evaluate.add_argument(
        "--max-duration",
        metavar="TIME",
        type=duration,
        default=SECONDS,
        help="limit for the episodes of one checkpoint, e.g. 90s or 10m; those that still run then "
        "are cut, and count with the return they have (default: 1m)",
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")


def run_evaluate(options: argparse.Namespace) -> int:
    from savanna.evaluation.evaluations import headline, measure, store

    if options.episodes < 1:
        raise UsageError(f"--episodes {options.episodes}: must be at least 1.")
    if not options.max_duration > 0:
        raise UsageError(f"--max-duration {options.max_duration:g}: must be above 0.")
    run, found, unkept = RunDirectory.find(options.reference, options.runs_root), [], None
    measured = measure(
        run,
        options.checkpoint,
        episodes=options.episodes,
        seed=options.seed,
        explore=options.explore,
        seconds=options.max_duration,
    )
    interrupted = False
    try:
        for result in measured:
            say(headline(result))
            found.append(result)
            try:
                store(run, result)
            except SavannaError as error:
                unkept = error
    except KeyboardInterrupt:
        if not found:
            raise
        interrupted = True
    if options.json:
        show(json.dumps([asdict(e) for e in found], indent=2))
    else:
        _show_evaluations(found)
    if unkept is not None:
        say(f"warning: what is printed here is not kept with the run: {unkept}")
    if interrupted:
        say("interrupted: the other checkpoints were not evaluated")
    return 130 if interrupted else 0


def _show_evaluations(found: Sequence[Evaluation]) -> None:
    show(
        f"{'checkpoint':>10} {'mean':>8} {'95 % CI':>18} "
        f"{'min':>7} {'median':>7} {'max':>7} {'length':>7}"
    )
    for e in found:
        interval = "-" if e.ci95 is None else " to ".join(decimal(end, 2) for end in e.ci95)
        show(
            f"{e.checkpoint:>10} {decimal(e.mean, 2):>8} {interval:>18} {decimal(e.min):>7} "
            f"{decimal(e.percentiles['50']):>7} {decimal(e.max):>7} {e.length_mean:>7.0f}"
        )
        if e.metrics:
            show("  " + ", ".join(f"{k} {v:.2f}" for k, v in e.metrics.items()))
