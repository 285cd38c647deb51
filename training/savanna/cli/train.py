"""`savanna train`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from typing import Any

from savanna.cli import particle
from savanna.cli.legacy import translate
from savanna.cli.parser import Parser, add_runs_root
from savanna.cli.train_output import group_steps, next_steps, show_plan
from savanna.cli.values import duration, literal, pairs, seeds, stop_rules
from savanna.experiments import EXPERIMENTS
from savanna.runs.group import find_group
from savanna.session.request import TrainRequest

EXAMPLES = """examples:
  savanna train pong
  savanna train pong --stop return=20 --seed 3 --set lr=5e-4
  savanna train atari --env BreakoutNoFrameskip-v4 --stop agent_steps=5e6
  savanna train cartpole --seeds 5
  savanna train cartpole --set 'lr=loguniform(1e-4,1e-2)' --num-samples 4
  savanna train particle --scenario simple_tag --num-adversaries 2 --adv-policy ddpg
  savanna train --resume latest
The options of the retired Azure ML Reinforcement Learning scripts are translated."""


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
        help="a running Ray cluster to join (default: RAY_ADDRESS, else the one this machine is a "
        "node of), or `local` for a Ray of its own",
    )
    add_runs_root(where)
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="print the resolved configuration and resources, train nothing",
    )
    parser.add_argument("--json", action="store_true", help="with --dry-run: as JSON")
    parser.set_defaults(run=run)


def add_options(parser: Parser) -> None:
    """Everything that `savanna submit` takes as well."""
    parser.add_argument("experiment", nargs="?", help="name of the experiment (default: pong)")
    what = parser.add_argument_group("what to train")
    what.add_argument("--env", help="Gymnasium id of the environment, e.g. ALE/Breakout-v5")
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="an RLlib setting, e.g. lr=1e-4 or model_config.encoder=small; or a search space: "
        "uniform(a,b), loguniform(a,b), randint(a,b), choice(a,b,...), grid(a,b,...)",
    )
    what.add_argument("--seed", type=int, help="random seed (default: 0)")
    what.add_argument(
        "--seeds",
        type=seeds,
        default=1,
        metavar="N|A,B,...",
        help="several runs that differ in their seed: how many, from --seed on, or which; as many "
        "at once as fit. In a search every draw is trained with each of them",
    )
    what.add_argument(
        "--num-samples",
        type=int,
        default=1,
        metavar="N",
        help="runs, drawn from search spaces (default: 1); without any the same as --seeds N",
    )
    what.add_argument(
        "--resume",
        metavar="RUN",
        help="go on with a run (RUN or RUN@CHECKPOINT), or begin a new one with the networks in a "
        "checkpoint folder",
    )
    worlds = parser.add_argument_group("particle worlds")
    for flag, metavar, text in (
        ("--scenario", "NAME", "the world (default: simple_spread); the same as --env"),
        ("--algorithm", "NAME", "maddpg (default), ppo (shared networks), ippo (independent)"),
        ("--num-agents", "N", "agents, adversaries included (default: the world's)"),
        ("--num-adversaries", "N", "adversaries among them (default: the world's)"),
        ("--good-policy", "NAME", "maddpg, or ddpg: a critic that sees nothing of the others"),
        ("--adv-policy", "NAME", "the same for adversaries"),
        ("--actions", "KIND", "continuous (forces; default of MADDPG) or discrete (moves)"),
    ):
        worlds.add_argument(flag, metavar=metavar, help=text)
    until = parser.add_argument_group("how long")
    until.add_argument(
        "--stop",
        action="append",
        default=[],
        metavar="RULE=NUMBER",
        help="return (mean of the last 100 episodes), agent_steps, seconds (of training) or "
        "iterations; replaces the experiment's rule of that name; `none` drops the others; "
        "old_return: a return of simple_spread on the retired service's scale",
    )
    until.add_argument(
        "--max-duration",
        type=duration,
        metavar="TIME",
        help="hard limit on the whole command, e.g. 90s or 2h; a graceful stop comes before it",
    )
    until.add_argument(
        "--max-failures",
        type=int,
        metavar="N",
        help="retries from the last checkpoint (default: 0)",
    )
    keep = parser.add_argument_group("what is kept", "A resumed run keeps these as they were.")
    keep.add_argument(
        "--checkpoint-freq",
        type=int,
        metavar="N",
        help="iterations between checkpoints, 0 for none (default: the experiment's)",
    )
    keep.add_argument(
        "--checkpoint-at-end",
        action=argparse.BooleanOptionalAction,
        help="a checkpoint when training ends (default: yes)",
    )
    keep.add_argument(
        "--keep",
        type=int,
        metavar="N",
        help="best checkpoints kept, the newest always (default: 5)",
    )
    keep.add_argument(
        "--storage",
        metavar="URI",
        help="where checkpoints and results go as well: a folder, abfss://CONTAINER@ACCOUNT.dfs."
        "core.windows.net/PATH or another location that pyarrow opens; `none` for none (default: "
        "SAVANNA_STORAGE)",
    )
    keep.add_argument(
        "--evaluate-episodes",
        type=int,
        metavar="N",
        help="episodes to evaluate every kept checkpoint on after training (default: 10)",
    )
    keep.add_argument("--video", action=argparse.BooleanOptionalAction, help="films (default: yes)")
    keep.add_argument(
        "--film-every",
        type=int,
        metavar="N",
        help="particle worlds: a film every N episodes of a world, 0 for none (default: 200)",
    )
    keep.add_argument(
        "--report", action=argparse.BooleanOptionalAction, help="write a report (default: yes)"
    )
    resources = parser.add_argument_group("resources")
    resources.add_argument(
        "--num-env-runners",
        type=int,
        metavar="N",
        help="sampling processes (default: all CPUs but one)",
    )
    resources.add_argument(
        "--num-gpus",
        type=int,
        metavar="N",
        help="GPUs for the learner, 0 or 1 (default: 1 where there is one)",
    )
    resources.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="nodes that are to join the cluster, besides its head, before training starts",
    )
    resources.add_argument(
        "--min-workers",
        type=int,
        metavar="N",
        help="start as soon as so many have joined (default: all of --workers)",
    )
    resources.add_argument(
        "--start-timeout",
        type=duration,
        metavar="TIME",
        help="give up after it if fewer have joined, e.g. 10m (default: 30m)",
    )


def arguments(argv: list[str]) -> list[str]:
    """`argv` after `train` with the retired service's options translated, which is shown."""
    translator = particle.translate if particle.concerns(argv) else translate
    translated, lines = translator(argv)
    for line in lines:
        print(f"translated: {line}", file=sys.stderr)
    return translated


def request_from(options: argparse.Namespace) -> TrainRequest:
    """The request that the options of `add_options` make."""
    from savanna.session.search_space import is_search_space

    settings = pairs("--set", options.settings)
    rules, keep_default_stop = stop_rules(options.stop)
    return TrainRequest(
        experiment=options.experiment or (None if options.resume else "pong"),
        env=options.env,
        seed=options.seed,
        seeds=options.seeds,
        overrides={k: literal(v) for k, v in settings.items() if not is_search_space(v)},
        search={k: v for k, v in settings.items() if is_search_space(v)},
        stop=rules,
        keep_default_stop=keep_default_stop,
        checkpoint_freq=options.checkpoint_freq,
        checkpoint_at_end=options.checkpoint_at_end,
        keep=options.keep,
        storage=options.storage,
        max_duration=options.max_duration,
        max_failures=options.max_failures,
        num_samples=options.num_samples,
        resume=options.resume,
        num_env_runners=options.num_env_runners,
        num_gpus=options.num_gpus,
        workers=options.workers,
        min_workers=options.min_workers,
        start_timeout=options.start_timeout,
        evaluate_episodes=options.evaluate_episodes,
        video=options.video,
        film_every=options.film_every,
        report=options.report,
        command=tuple(options.command_line),
    )


def run(options: argparse.Namespace) -> int:
    from savanna.jobs.phases import outcome
    from savanna.session import dry_run, train

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
        print(line, file=sys.stderr)
    for run in runs:
        print(run.path)
    return 0


def _request(options: argparse.Namespace) -> TrainRequest:
    return replace(
        request_from(options),
        address=options.address,
        runs_root=options.runs_root,
        debug=options.debug,
    )
