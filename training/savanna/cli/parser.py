"""An argument parser that rejects what it does not know and says what was probably meant."""

from __future__ import annotations

import argparse
import difflib
from typing import Any, NoReturn

from savanna.cli.values import path, runs_root
from savanna.errors import UsageError


class Parser(argparse.ArgumentParser):
    """No abbreviations, defaults in the help, errors as `UsageError` in one line."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("allow_abbrev", False)
        kwargs.setdefault("formatter_class", _Formatter)
        super().__init__(*args, **kwargs)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See `{self.prog} --help`.")

    def parse_all(self, argv: list[str]) -> argparse.Namespace:
        """`parse_args`, with unknown options answered by the nearest known one."""
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            self.error("; ".join(self._explain(word) for word in unknown))
        return arguments

    def _explain(self, word: str) -> str:
        known = [option for action in self._actions for option in action.option_strings]
        close = difflib.get_close_matches(word.partition("=")[0], known, n=1)
        kind = "option" if word.startswith("-") else "argument"
        return f"unknown {kind} {word!r}" + (f", did you mean {close[0]}?" if close else "")


def add_runs_root(parser: Any) -> None:
    """`--runs-root`."""
    parser.add_argument(
        "--runs-root",
        type=path,
        default=runs_root(),
        metavar="DIR",
        help="folder of the run directories (default: SAVANNA_RUNS_ROOT, else runs)",
    )


class _Formatter(argparse.HelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help or ""
        given = action.default not in (None, argparse.SUPPRESS, False, True, [])
        shown = given and "(default:" not in text
        return f"{text} (default: {action.default})" if shown and action.option_strings else text
