"""`savanna train`."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from savanna.cli.parser import Parser, add_runs_root
from savanna.cli.train_options import add_options, request_from
from savanna.cli.train_output import group_steps, next_steps, show_plan
from savanna.errors import UsageError
from savanna.experiments import EXPERIMENTS
from savanna.planning.request import TrainRequest
from savanna.runs.group import find_group
from savanna.streams import say, show

EXAMPLES = """examples:
  savanna train pong
  savanna train pong --stop return=20 --seed 3 --set lr=5e-4
  savanna train atari --env BreakoutNoFrameskip-v4 --stop agent_steps=5e6
  savanna train gym --env Acrobot-v1 --algorithm dqn
  savanna train my_experiment.py --set model_config.width=128
  savanna train --config settings.yaml --seed 3
  savanna train cartpole --seeds 5
  savanna train cartpole --set 'lr=loguniform(1e-4,1e-2)' --num-samples 4
  savanna train particle --scenario simple_tag --num-adversaries 2 --adv-policy ddpg
  savanna train --resume latest
Options of the retired Azure ML Reinforcement Learning scripts are translated."""


def add_parser(commands: Any) -> None:
    listed = "; ".join(f"{e.name}: {e.summary}" for e in EXPERIMENTS.values())
    parser: Parser = commands.add_parser(
        "train",
        help="train an experiment",
        description=f"Train an experiment. {listed}.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add_options(parser)
    where = parser.add_argument_group("where")
    where.add_argument(
        "--address",
        help="Ray cluster to join (default: RAY_ADDRESS, else the one this machine belongs to), "
        "or `local` to start Ray here",
    )
    add_runs_root(where)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved configuration and resources without training",
    )
    parser.add_argument("--json", action="store_true", help="with --dry-run: print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    from savanna.jobs.phases import outcome
    from savanna.session.command import dry_run, train

    if options.json and not options.dry_run:
        raise UsageError("--json only works with --dry-run.")
    if options.dry_run:
        show_plan(dry_run(_request(options)), as_json=options.json)
        return 0
    with outcome():
        finished = train(_request(options))[-1]
    made = finished.config["options"]
    if made["runs"] > 1:
        group = find_group(finished.path.parent.parent, made["group"]["name"])
        steps, runs = group_steps(group, options.runs_root), [m.run for m in group.members]
    else:
        steps, runs = next_steps(finished, options.runs_root), [finished]
    for line in steps:
        say(line)
    for run in runs:
        show(run.path)
    return 0


def _request(options: argparse.Namespace) -> TrainRequest:
    return replace(request_from(options), address=options.address)
