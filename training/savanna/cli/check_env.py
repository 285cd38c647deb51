"""`savanna check-env`: what is wrong with an environment, before training costs anything."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from savanna.cli.parser import Parser
from savanna.cli.values import literal, pairs
from savanna.errors import UsageError
from savanna.streams import say, show

EPILOG = """checks: spaces, random play, observations in their space and dtype, finite numbers,
boolean flags, several at once as in training, end of episodes, reproducible seeds, independent
copies, a new process, films, size of observations, speed, Gymnasium's own checker, closing, what is
left behind. The environment runs in a process of its own.
wrong: training refuses it, in the same words. warning: it trains, but.
exit codes: 0 nothing wrong (maybe warnings), 1 something wrong, 2 cannot be created."""
PREFIX = "env_config."


def add_parser(commands: Any) -> None:
    parser: Parser = commands.add_parser(
        "check-env",
        help="check an environment before training on it",
        description="Check an environment before training on it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "env", metavar="ENV", help="module:Class (your own), a Gymnasium id or an Atari id"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="a keyword argument of its constructor, as env_config.KEY=VALUE",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    settings = pairs("--set", options.settings)
    bad = [key for key in settings if not key.startswith(PREFIX)]
    if bad:
        lines = [f"--set {key}: check-env accepts only {PREFIX}KEY=VALUE." for key in bad]
        raise UsageError("\n".join(lines))
    env_config = {key.removeprefix(PREFIX): literal(text) for key, text in settings.items()}
    from savanna.envs.guest import visit

    findings = visit("check", options.env, env_config, short=False).findings
    wrong = sum(finding.verdict == "wrong" for finding in findings)
    warnings = sum(finding.verdict == "warning" for finding in findings)
    if options.json:
        content = {"env": options.env, "env_config": env_config, "ok": not wrong}
        show(json.dumps(content | {"checks": [asdict(f) for f in findings]}, indent=2))
    else:
        for finding in findings:
            show(f"{finding.verdict:<8} {finding.check:<13} {finding.sentences}")
    say(f"{options.env}: {wrong} wrong, {_count(warnings, 'warning')}")
    return 1 if wrong else 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
