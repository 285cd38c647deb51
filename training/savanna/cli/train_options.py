"""The options of `savanna train` and `savanna submit`, and the request that they make."""

from __future__ import annotations

import argparse
from dataclasses import fields

from savanna.cli import particle
from savanna.cli.command_line import options_of
from savanna.cli.legacy import translate
from savanna.cli.parser import Parser
from savanna.cli.settings_file import with_file
from savanna.cli.values import duration, literal, pairs, seeds, stop_rules
from savanna.errors import UsageError
from savanna.experiments.gym import GYM
from savanna.planning.request import TrainRequest
from savanna.planning.search_space import is_search_space
from savanna.streams import say


def add_options(parser: Parser) -> None:
    """The options that `savanna submit` has too."""
    parser.add_argument(
        "experiment", nargs="?", help="experiment (default: pong); or your own: my_file.py"
    )
    what = parser.add_argument_group("what to train")
    what.add_argument(
        "--experiment",
        dest="own",
        metavar="NAME",
        help="the same as the argument: an experiment, or your own as my_file.py or module:NAME",
    )
    what.add_argument(
        "--config",
        metavar="FILE",
        help="options and settings from a YAML file, or from the config.json of a run; those of "
        "the command replace them",
    )
    what.add_argument("--env", help="environment: a Gymnasium id, e.g. ALE/Breakout-v5")
    what.add_argument(
        "--algorithm",
        metavar="NAME",
        help=f"with gym: ppo (default) or RLlib's {', '.join(GYM.others)}; with particle: maddpg "
        "(default), ppo (shared networks), ippo (independent)",
    )
    what.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="an RLlib setting, e.g. lr=1e-4 or model_config.encoder=small; or a search space: "
        "uniform(a,b), loguniform(a,b), randint(a,b), choice(a,b,...), grid(a,b,...)",
    )
    what.add_argument("--seed", type=int, help="random seed (default: 0)")
    what.add_argument(
        "--seeds",
        type=seeds,
        default=1,
        metavar="N|A,B,...",
        help="one run per seed: how many, counting from --seed, or which; as many at once as fit. "
        "A search trains every draw with each seed",
    )
    what.add_argument(
        "--num-samples",
        type=int,
        default=1,
        metavar="N",
        help="draws from the search spaces (default: 1); without a search, the same as --seeds N",
    )
    what.add_argument(
        "--resume",
        metavar="RUN",
        help="continue a run (RUN or RUN@CHECKPOINT), or start a new one from the networks in a "
        "checkpoint folder",
    )
    what.add_argument(
        "--resume-group",
        metavar="NAME",
        help="with the options of a command that made several runs: continue those that did not "
        "succeed, and start those that are missing. NAME as in `savanna runs --group`",
    )
    what.add_argument(
        "--scenario",
        metavar="NAME",
        help="the same as --env: a particle world, or with doom a scenario (default: basic)",
    )
    worlds = parser.add_argument_group("particle worlds")
    for flag, metavar, text in (
        ("--num-agents", "N", "agents, adversaries included (default: the world's)"),
        ("--num-adversaries", "N", "adversaries among them (default: the world's)"),
        ("--good-policy", "NAME", "maddpg, or ddpg (a critic that sees only its own agent)"),
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
        "iterations; overrides the experiment's rule of that name; `none` drops the others; "
        "old_return: a return of simple_spread on the retired service's scale",
    )
    until.add_argument(
        "--max-duration",
        type=duration,
        metavar="TIME",
        help="hard limit on the whole command, e.g. 90s or 2h; it stops gracefully before that",
    )
    until.add_argument(
        "--max-failures",
        type=int,
        metavar="N",
        help="retries from the last checkpoint (default: 0)",
    )
    keep = parser.add_argument_group("what is kept", "A resumed run keeps its earlier values.")
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
        help="how many of the best checkpoints to keep; the newest always stays (default: 5)",
    )
    keep.add_argument(
        "--storage",
        metavar="URI",
        help="where to copy checkpoints and results: a folder, abfss://CONTAINER@ACCOUNT.dfs."
        "core.windows.net/PATH or another location that pyarrow opens; `none`: nowhere (default: "
        "SAVANNA_STORAGE)",
    )
    keep.add_argument(
        "--evaluate-episodes",
        type=int,
        metavar="N",
        help="episodes for evaluating every kept checkpoint after training (default: 10)",
    )
    keep.add_argument("--video", action=argparse.BooleanOptionalAction, help="films (default: yes)")
    keep.add_argument(
        "--film-every",
        type=int,
        metavar="N",
        help="particle worlds: a film every N episodes per world, 0 for none (default: 200)",
    )
    keep.add_argument(
        "--report", action=argparse.BooleanOptionalAction, help="report.html (default: yes)"
    )
    resources = parser.add_argument_group("resources")
    resources.add_argument(
        "--num-env-runners",
        type=int,
        metavar="N",
        help="processes that sample (default: all CPUs but one)",
    )
    resources.add_argument(
        "--num-gpus",
        type=int,
        metavar="N",
        help="GPUs for the learner, 0 or 1 (default: 1 if available)",
    )
    resources.add_argument(
        "--workers",
        type=int,
        metavar="N",
        help="nodes that must join the cluster, besides its head, before training starts",
    )
    resources.add_argument(
        "--min-workers",
        type=int,
        metavar="N",
        help="start once this many have joined (default: all of --workers)",
    )
    resources.add_argument(
        "--start-timeout",
        type=duration,
        metavar="TIME",
        help="give up if fewer have joined after this time, e.g. 10m (default: 30m)",
    )


def arguments(argv: list[str]) -> list[str]:
    """Translate the retired service's options in `argv` (the words after `train`) and say so."""
    argv, from_file = with_file(_experiment_as_argument(argv), _parser())
    translator = particle.translate if particle.concerns(argv) else translate
    translated, lines = translator(argv)
    for line in from_file + lines:
        say(f"translated: {line}")
    return translated


def _parser() -> Parser:
    parser = Parser(add_help=False)
    add_options(parser)
    return parser


def _experiment_as_argument(argv: list[str]) -> list[str]:
    """`argv` with what `--experiment` gives as its argument."""
    given = options_of(argv)
    named = [option for option in given if option.flag in ("", "--experiment")]
    rest = [word for option in given if option.flag != "--experiment" for word in option.words]
    if all(not option.flag for option in named):
        return argv
    if len(named) > 1:
        both = " and ".join(option.text for option in named)
        raise UsageError(f"{both}: both name the experiment. Give only one.")
    if not named[0].value:
        raise UsageError("--experiment needs a value.")
    return [named[0].value, *rest]


def request_from(options: argparse.Namespace) -> TrainRequest:
    """The request for the options of `add_options`."""
    settings = pairs("--set", options.set)
    rules, keep_default_stop = stop_rules(options.stop)
    plain = {f.name for f in fields(TrainRequest)} - {"address"}  # submit's is another one
    given = {name: value for name, value in vars(options).items() if name in plain}
    return TrainRequest(
        **given
        | {
            "experiment": options.experiment or (None if options.resume else "pong"),
            "env": options.env or options.scenario,
            "overrides": {k: literal(v) for k, v in settings.items() if not is_search_space(v)},
            "search": {k: v for k, v in settings.items() if is_search_space(v)},
            "stop": rules,
            "keep_default_stop": keep_default_stop,
            "command": tuple(options.command_line),
        }
    )
