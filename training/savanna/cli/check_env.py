"""`savanna check-env`: what is wrong with an environment, before training costs anything."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import asdict
from typing import Any

from savanna.cli.parser import Parser
from savanna.cli.values import literal, pairs
from savanna.errors import UsageError
from savanna.streams import say, show

EPILOG = """checks: spaces, random play, observations in their space and dtype, finite numbers,
boolean flags, an end of episodes, seeds that repeat, copies that share nothing, a fresh process,
films, the size of observations, speed, Gymnasium's own checker, closing.
exit codes: 0 nothing wrong (warnings are allowed), 1 something is wrong, 2 it cannot be made."""
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
        "env", metavar="ENV", help="your own as module:Class, a Gymnasium id or an Atari id"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="settings",
        help="a keyword of its constructor, as env_config.KEY=VALUE",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    settings = pairs("--set", options.settings)
    bad = [key for key in settings if not key.startswith(PREFIX)]
    if bad:
        lines = [f"--set {key}: only {PREFIX}KEY=VALUE means something here." for key in bad]
        raise UsageError("\n".join(lines))
    env_config = {key.removeprefix(PREFIX): literal(text) for key, text in settings.items()}
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame needs no screen then
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    from savanna.envs.checked_env import CheckedEnv
    from savanna.envs.conformance import run_checks

    findings = run_checks(CheckedEnv(options.env, env_config))
    wrong = sum(finding.verdict == "wrong" for finding in findings)
    warnings = sum(finding.verdict == "warning" for finding in findings)
    if options.json:
        content = {"env": options.env, "env_config": env_config, "ok": not wrong}
        show(json.dumps(content | {"checks": [asdict(f) for f in findings]}, indent=2))
    else:
        for finding in findings:
            fix = f". {finding.fix}" if finding.fix else ""
            show(f"{finding.verdict:<8} {finding.check:<13} {finding.text}{fix}")
    say(f"{options.env}: {wrong} wrong, {_count(warnings, 'warning')}")
    return 1 if wrong else 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
