"""`savanna evaluate`, `video`, `report`, `runs` and `export`: the results of runs."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from typing import Any

from savanna.cli.evaluate import DEFAULT_SEED, add_options, run_evaluate
from savanna.cli.parser import Parser, add_runs_root
from savanna.cli.values import path
from savanna.recording.group_table import aligned, drawn_text, table
from savanna.recording.text import decimal
from savanna.runs.directory import LATEST, RunDirectory
from savanna.runs.group import Group, find_group
from savanna.runs.summary import BROKEN, Summary, all_runs, summary
from savanna.session.log_file import delete_abandoned_logs
from savanna.streams import show


def add_parsers(commands: Any) -> None:
    evaluate = _command(
        commands, "evaluate", "measure a policy on episodes with fixed seeds", run_evaluate
    )
    add_options(evaluate)
    video = _command(commands, "video", "film an episode as mp4", run_video)
    video.add_argument("--checkpoint", default="best", help="best, last or a number")
    video.add_argument("--all-checkpoints", action="store_true", help="up to four side by side")
    video.add_argument("--seed", type=int, default=DEFAULT_SEED, help="seed of the episode")
    report = _command(commands, "report", "write the run's report.html again", run_report)
    _add_group(report, "write the page for all runs of one command instead")
    export = _command(commands, "export", "export the policy to ONNX", run_export)
    export.add_argument("--checkpoint", default="best", help="best, last or a number")
    export.add_argument("--output", type=path, help="folder to write to (default: the run's)")
    runs = commands.add_parser(
        "runs", help="list the runs", description="List the runs, newest first."
    )
    _add_group(runs, "list only the runs of one command, ranked by return")
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
        help="a run: folder, id, experiment/id or `latest` (the default)",
    )
    add_runs_root(parser)
    parser.set_defaults(run=run)
    return parser


def _add_group(parser: Parser, what: str) -> None:
    parser.add_argument(
        "--group",
        nargs="?",
        const=LATEST,
        metavar="NAME",
        help=f"{what} (several seeds, or a search). NAME is the group's name, the start of its "
        "name, or `latest` (default: latest)",
    )


def _find(options: argparse.Namespace) -> RunDirectory:
    return RunDirectory.find(options.reference, options.runs_root)


def run_video(options: argparse.Namespace) -> int:
    from savanna.evaluation import record_video

    show(
        record_video(
            _find(options),
            options.checkpoint,
            all_checkpoints=options.all_checkpoints,
            seed=options.seed,
        )
    )
    return 0


def run_report(options: argparse.Namespace) -> int:
    from savanna.report import write_group_page, write_report

    if options.group is not None:
        show(write_group_page(find_group(options.runs_root, options.group)))
    else:
        show(write_report(_find(options)))
    return 0


def run_export(options: argparse.Namespace) -> int:
    from savanna.evaluation import export

    show(export(_find(options), options.checkpoint, output=options.output))
    return 0


def run_runs(options: argparse.Namespace) -> int:
    if options.group is not None:
        group = find_group(options.runs_root, options.group)
        if options.json:
            show(json.dumps(group_json(group), indent=2))
        else:
            show("\n".join(table(group)))
            if group.page.is_file():
                show(f"page: {group.page}")
        return 0
    delete_abandoned_logs(options.runs_root)
    found = [summary(run) for run in all_runs(options.runs_root)]
    if options.json:
        show(json.dumps([each.as_json() for each in found], indent=2))
        return 0
    if not found:
        show(f"no runs in {options.runs_root}/ yet; start one with `savanna train`")
        return 0
    show("\n".join(listing(found)))
    return 0


def listing(found: Sequence[Summary]) -> list[str]:
    """The table of runs, and below it what is wrong with broken ones."""
    drawn = any(each.drawn for each in found)
    head = ["run", "state", "return", "agent steps", "seconds", "best"] + ["drawn"] * drawn
    rows = [_cells(each) + [drawn_text(each)] * drawn for each in found]
    broken = [f"{each.name}: {each.reason}" for each in found if each.state == BROKEN]
    return aligned(head, rows) + ["", *broken] * bool(broken)


def _cells(each: Summary) -> list[str]:
    if each.state == BROKEN:
        return [each.name, each.state, "-", "-", "-", "-"]
    mean = decimal(each.final_return, 2) if math.isfinite(each.final_return) else "-"
    best = "-" if each.best_checkpoint is None else str(each.best_checkpoint)
    steps, seconds = f"{each.agent_steps:,}", f"{each.seconds:.0f}"
    return [each.name, each.state, mean, steps, seconds, best]


def group_json(group: Group) -> dict[str, Any]:
    """The group's settings from best to worst, each with its mean and its runs."""
    return {
        "group": group.name,
        "page": str(group.page) if group.page.is_file() else None,
        "settings": [
            {
                "drawn": dict(setting.drawn),
                "mean": _or_null(setting.mean),
                "ci95": [_or_null(end) for end in setting.interval],
                "counted": len(setting.counted),
                "runs": [member.as_json() for member in setting.members],
            }
            for setting in group.settings
        ],
    }


def _or_null(value: float) -> float | None:
    return value if math.isfinite(value) else None
