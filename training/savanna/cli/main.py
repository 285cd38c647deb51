"""Entry point: parse, run one command, turn errors into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import difflib
import os
import sys
import time
import traceback
from collections.abc import Iterator, Mapping

from savanna import __version__, streams
from savanna.cli import check_env, jobs, results, submit, train, train_options
from savanna.cli.parser import Parser
from savanna.errors import Interrupted, SavannaError, UsageError, explained
from savanna.ray_cluster.processes import kill_children
from savanna.session.stopping import Stop

INTERRUPTED = 130
"""Exit code after Ctrl-C."""


def make_parser() -> Parser:
    parser = Parser(
        prog="savanna",
        description="Reinforcement learning on Ray RLlib, on one machine or a cluster.",
    )
    parser.add_argument("--version", action="version", version=f"savanna {__version__}")
    parser.add_argument(
        "--debug",
        action="store_true",
        help="show tracebacks of errors; with train, also the time of each startup phase",
    )
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", required=True, parser_class=Parser
    )
    train.add_parser(commands)
    check_env.add_parser(commands)
    results.add_parsers(commands)
    jobs.add_parsers(commands)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run `savanna` with `argv`. Exit code: 0 ok, 1 failed, 2 wrong usage, 130/143 stopped."""
    given = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in given
    given = [word for word in given if word != "--debug"]
    stop = Stop(time.monotonic(), None, exits=argv is None)  # `train` has another, within
    stop.last_words = lambda: _fail(stop.error("."), 1, debug)
    try:
        if "train" in given[:1]:
            given = ["train", *train_options.arguments(given[1:])]
        if "submit" in given[:1]:
            given = ["submit", *submit.arguments(given[1:])]
        parser = make_parser()
        options = _parse(parser, given)
        options.command_line, options.debug = ["savanna", *given], debug
        with stop.listen(), _noise_kept_out(shown=debug or "check-env" in given[:1]):
            code: int = options.run(options)
        interrupted = code == INTERRUPTED and stop.signal is not None
        return 128 + (stop.signal or 0) if interrupted else code
    except UsageError as error:
        return _fail(error, 2, debug)
    except SavannaError as error:
        return _fail(error, 1, debug)
    except Interrupted as error:
        return _fail(error, error.exit_code, debug)
    except KeyboardInterrupt:
        if argv is None:
            kill_children()
        end = stop.error(".")
        return _fail(end, getattr(end, "exit_code", INTERRUPTED), debug=False)
    except streams.ReaderGone:
        return 0
    except OSError as error:
        return _fail(SavannaError(explained(error)), 1, debug)
    except Exception as error:  # a bug, or something nobody foresaw: still one line
        return _fail(error, 1, debug, hint=" (--debug shows where)")
    finally:
        if argv is None:
            streams.end_of_output()


@contextlib.contextmanager
def _noise_kept_out(*, shown: bool) -> Iterator[None]:
    """What libraries and environments print goes nowhere; `shown`: to standard error."""
    noise = os.dup(2) if shown else os.open(os.devnull, os.O_WRONLY)
    try:
        with streams.noise_to(noise):
            yield
    finally:
        os.close(noise)


def _parse(parser: Parser, argv: list[str]) -> argparse.Namespace:
    """Parse with the subcommand's own parser, so that suggestions are its options."""
    choices: Mapping[str, Parser] = next(
        a.choices for a in parser._actions if isinstance(a, argparse._SubParsersAction)
    )
    if argv and not argv[0].startswith("-"):
        if argv[0] not in choices:
            close = difflib.get_close_matches(argv[0], choices, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise UsageError(f"unknown command {argv[0]!r}.{hint} Known: {', '.join(choices)}.")
        return choices[argv[0]].parse_all(argv[1:])
    return parser.parse_all(argv)


def _fail(error: BaseException, code: int, debug: bool, hint: str = "") -> int:
    if debug:
        traceback.print_exception(error, file=streams.messages())
    text = str(error) or type(error).__name__
    for line in text.splitlines() or [text]:
        streams.say(f"savanna: {line}{hint}")
    return code
