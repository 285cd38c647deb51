"""`savanna evaluate`, `video`, `report`, `runs` and `export`: what is left of runs."""

from __future__ import annotations

import argparse
import json
import os
import socket
from dataclasses import asdict
from pathlib import Path
from typing import Any

from savanna.cli.parser import Parser, add_runs_root
from savanna.errors import UsageError
from savanna.runs.directory import RunDirectory

DEFAULT_SEED = 10_000


def add_parsers(commands: Any) -> None:
    evaluate = _command(
        commands, "evaluate", "play episodes with fixed seeds and measure", run_evaluate
    )
    evaluate.add_argument("--checkpoint", default="best", help="best, last, all or a number")
    evaluate.add_argument("--episodes", type=int, default=10, help="episodes to play")
    evaluate.add_argument(
        "--seed", type=int, default=DEFAULT_SEED, help="seed of the first episode"
    )
    evaluate.add_argument(
        "--explore", action="store_true", help="draw actions instead of taking the most probable"
    )
    evaluate.add_argument("--json", action="store_true", help="print JSON")
    video = _command(commands, "video", "film an episode, to mp4", run_video)
    video.add_argument("--checkpoint", default="best", help="best, last or a number")
    video.add_argument("--all-checkpoints", action="store_true", help="checkpoints side by side")
    video.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of the episode")
    _command(commands, "report", "write the run's report.html again", run_report)
    export = _command(commands, "export", "write the policy as ONNX", run_export)
    export.add_argument("--checkpoint", default="best", help="best, last or a number")
    export.add_argument("--output", type=Path, help="folder to write to (default: the run's)")
    runs = commands.add_parser(
        "runs", help="list the runs", description="List the runs, newest first."
    )
    add_runs_root(runs)
    runs.add_argument("--json", action="store_true", help="print JSON")
    runs.set_defaults(run=run_runs)


def _command(commands: Any, name: str, text: str, run: Any) -> Parser:
    parser: Parser = commands.add_parser(
        name, help=text, description=f"{text[0].upper()}{text[1:]}."
    )
    parser.add_argument(
        "reference",
        nargs="?",
        default="latest",
        metavar="RUN",
        help="a run: its folder, id, experiment/id or `latest` (the default)",
    )
    add_runs_root(parser)
    parser.set_defaults(run=run)
    return parser


def _find(options: argparse.Namespace) -> RunDirectory:
    return RunDirectory.find(options.reference, options.runs_root)


def run_evaluate(options: argparse.Namespace) -> int:
    from savanna.evaluation import evaluate

    if options.episodes < 1:
        raise UsageError(f"--episodes {options.episodes}: must be at least 1.")
    run = _find(options)
    found = evaluate(
        run,
        options.checkpoint,
        episodes=options.episodes,
        seed=options.seed,
        explore=options.explore,
    )
    if options.json:
        print(json.dumps([asdict(e) for e in found], indent=2))
        return 0
    print(
        f"{'checkpoint':>10} {'mean':>8} {'95 % CI':>18} "
        f"{'min':>7} {'median':>7} {'max':>7} {'length':>7}"
    )
    for e in found:
        interval = f"{e.ci95[0]:.2f} to {e.ci95[1]:.2f}"
        print(
            f"{e.checkpoint:>10} {e.mean:>8.2f} {interval:>18} {e.min:>7.1f} "
            f"{e.percentiles['50']:>7.1f} {e.max:>7.1f} {e.length_mean:>7.0f}"
        )
        if e.metrics:
            print("  " + ", ".join(f"{k} {v:.2f}" for k, v in e.metrics.items()))
    return 0


def run_video(options: argparse.Namespace) -> int:
    from savanna.evaluation import record_video

    print(
        record_video(
            _find(options),
            options.checkpoint,
            all_checkpoints=options.all_checkpoints,
            seed=options.seed,
        )
    )
    return 0


def run_report(options: argparse.Namespace) -> int:
    from savanna.report import write_report

    print(write_report(_find(options)))
    return 0


def run_export(options: argparse.Namespace) -> int:
    from savanna.evaluation import export

    print(export(_find(options), options.checkpoint, output=options.output))
    return 0


def run_runs(options: argparse.Namespace) -> int:
    rows = [summary(run) for run in all_runs(options.runs_root)]
    if options.json:
        print(json.dumps(rows, indent=2))
        return 0
    if not rows:
        print(f"no runs in {options.runs_root}/ yet; `savanna train` makes one")
        return 0
    width = max(len(row["run"]) for row in rows)
    print(
        f"{'run':<{width}} {'state':<12} {'return':>8} {'agent steps':>12} "
        f"{'seconds':>8} {'best':>5}"
    )
    for row in rows:
        number = "-" if row["best_checkpoint"] is None else row["best_checkpoint"]
        mean = "-" if row["return"] is None else f"{row['return']:.2f}"
        print(
            f"{row['run']:<{width}} {row['state']:<12} {mean:>8} {row['agent_steps']:>12,} "
            f"{row['seconds']:>8.0f} {number:>5}"
        )
    return 0


def all_runs(root: Path) -> list[RunDirectory]:
    """Every run directory under `root`, newest first."""
    found = [RunDirectory(file.parent.resolve()) for file in root.glob("*/*/config.json")]
    found = [run for run in found if run.path.parent.name != "latest"]
    return sorted(found, key=lambda run: run.id, reverse=True)


def summary(run: RunDirectory) -> dict[str, Any]:
    """What `savanna runs` says of a run."""
    status, rows = run.status, run.metrics()
    last = rows[-1] if rows else {}
    state = status.get("state", "unknown")
    if (
        state == "running"
        and status.get("host") == socket.gethostname()
        and not _alive(status["pid"])
    ):
        state = "interrupted"
    mean = last.get("episode_return_mean")
    checkpoints = run.checkpoints()
    return {
        "run": f"{run.experiment}/{run.id}",
        "state": state,
        "reason": status.get("reason", ""),
        "return": None if mean is None or mean != mean else mean,
        "agent_steps": int(last.get("agent_steps", 0)),
        "seconds": last.get("seconds", 0.0),
        "best_checkpoint": run.checkpoint("best").number if checkpoints else None,
        "path": str(run.path),
    }


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
