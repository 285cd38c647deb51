"""`python -m infra.operate VERB`: a cluster on Azure. `make` calls this; see docs/azure.md."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from infra.config.problems import SettingsError
from infra.facts import ROOT, number
from infra.operate import down, e2e, expire, status, subscription, tunnel, up
from infra.operate.ask import Declined, confirm
from infra.operate.checks.finding import Finding, report
from infra.operate.doctor import examine, examine_tools
from infra.operate.extend import extend
from infra.operate.review import changed
from infra.operate.stack import FOUNDATION, deploy, outputs_of, preview, read_stack
from infra.operate.tools import CommandError, OperateError, UsageError, need, say
from infra.plan.prices import PricesError, load

VERBS = {
    "doctor": "check everything that `up` needs, before anything costs money",
    "preview": "show what `up` would change, according to Azure and Pulumi; needs an account",
    "foundation": "build or update only the part that outlives clusters",
    "up": "build or update the cluster and wait until its nodes have joined",
    "status": "show the machines and what they cost",
    "ssh": "open a shell on the head, or run one command there",
    "tunnel": "forward dashboard and Jobs API to 127.0.0.1, where `savanna submit` finds them",
    "workers": "set the number of machines in a pool",
    "extend": "let the cluster run some hours longer",
    "down": "destroy the cluster, keep the foundation; checks that nothing else is left",
    "expire": "destroy clusters whose time is over, warn a day before; all stacks with settings",
    "purge": "also destroy the foundation, with all results",
    "e2e": "small end-to-end test in a real subscription; always destroys what it created",
}
ASK = ("foundation", "up", "down", "expire", "purge")
"""Verbs that build or destroy with Pulumi."""
NEEDS = {
    "doctor": (),  # reports missing tools itself
    "preview": ("pulumi", "az"),
    "tunnel": ("pulumi", "az", "ssh"),
    "ssh": ("pulumi", "az", "ssh"),
    "up": ("pulumi", "az", "ssh"),
    "e2e": ("pulumi", "az", "ssh", "docker"),
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m infra.operate", description=__doc__)
    verbs = top.add_subparsers(dest="verb", required=True)
    for verb, help_text in VERBS.items():
        one = verbs.add_parser(verb, help=help_text, description=help_text, allow_abbrev=False)
        if verb not in ("e2e", "expire"):
            one.add_argument("--stack", default="dev", help="default: %(default)s")
        if verb in ASK:
            one.add_argument("--yes", action="store_true", help="do not ask for confirmation")
        if verb in ASK:
            one.add_argument("--verbose", action="store_true", help="show all that Pulumi says")
        if verb in ("up", "e2e"):
            one.add_argument(
                "--minutes",
                type=float,
                default=30,
                help="minutes to wait for nodes (default: %(default)g)",
            )
        if verb == "up":
            one.add_argument(
                "--extend", action="store_true", help="move the expiry to lifetimeHours from now"
            )
        if verb == "down":
            one.add_argument(
                "--now", action="store_true", help="do not let running jobs write a last checkpoint"
            )
        if verb == "status":
            one.add_argument("--json", action="store_true")
        if verb == "expire":
            one.add_argument("--report", type=Path, metavar="FILE", help="also write it to FILE")
        if verb == "purge":
            one.add_argument(
                "--confirm", default="", metavar="NAME", help="name of what is destroyed"
            )
        if verb == "tunnel":
            one.add_argument(
                "--port",
                type=int,
                default=number("DASHBOARD_PORT"),
                help="port on 127.0.0.1 (default: %(default)s)",
            )
        if verb == "ssh":
            one.add_argument("command", nargs="*", help="command to run there (default: a shell)")
        if verb == "extend":
            one.add_argument("--hours", default="", metavar="HOURS", help="how many")
        if verb == "workers":
            one.add_argument("--pool", required=True, metavar="NAME")
            one.add_argument("-n", default="", metavar="N", help="number of machines")
        if verb == "e2e":
            one.add_argument(
                "--owner", default="", metavar="MAIL", help="who is responsible for the bill"
            )
            one.add_argument("--location", default="", help="Azure region")
            one.add_argument(
                "--key",
                type=Path,
                default=Path("~/.ssh/id_ed25519.pub"),
                help="SSH public key (default: %(default)s)",
            )
    return top


def run(options: argparse.Namespace) -> int:
    now = datetime.now(UTC)
    need(*NEEDS.get(options.verb, ("pulumi", "az")))
    if options.verb == "e2e":
        if os.environ.get("E2E") != "1":
            raise UsageError("this builds and destroys machines that cost money: set E2E=1")
        e2e.run(
            lambda: datetime.now(UTC),
            owner=options.owner,
            key=options.key.expanduser(),
            location=options.location,
            minutes=options.minutes,
        )
        return 0
    if options.verb == "up":
        up.up(
            options.stack,
            now,
            yes=options.yes,
            minutes=options.minutes,
            extend=options.extend,
            verbose=options.verbose,
        )
        return 0
    if options.verb == "foundation":
        confirm(f"Build or update the foundation {options.stack}?", yes=options.yes)
        deploy(options.stack, FOUNDATION, yes=options.yes, verbose=options.verbose)
        print(json.dumps(dict(outputs_of(FOUNDATION, options.stack)), indent=2))
        return 0
    if options.verb == "expire":
        return expire.expire(now, yes=options.yes, verbose=options.verbose, report=options.report)
    if options.verb == "doctor":
        return look_for_problems(options.stack, now)
    stack = read_stack(options.stack, now)
    account = subscription.choose(stack)
    if options.verb in ("down", "purge", "extend"):
        say(f"in {subscription.named(account)}")
    match options.verb:
        case "preview":
            for one in changed(stack):
                say(one.line)
            preview(stack.foundation_name, FOUNDATION)
            if stack.foundation_outputs:
                preview(stack.name, ROOT)
            else:
                say(
                    "the cluster needs the foundation's outputs: run make foundation, then this "
                    "again; make plan shows both without them"
                )
        case "status":
            found_status = status.status(stack, load(), now)
            as_text = (
                json.dumps(found_status, indent=2) if options.json else status.text(found_status)
            )
            print(as_text)
            return 0 if found_status["head_runs"] else 1
        case "ssh":
            return tunnel.shell(stack, options.command)
        case "tunnel":
            tunnel.hold(stack, options.port)
        case "workers":
            status.scale(stack, options.pool, options.n)
        case "extend":
            extend(stack, whole("HOURS", options.hours, "make extend HOURS=4"), now)
        case "down":
            down.down(stack, yes=options.yes, at_once=options.now, verbose=options.verbose)
        case "purge":
            down.purge(stack, yes=options.yes, name=options.confirm, verbose=options.verbose)
    return 0


def whole(name: str, text: str, example: str) -> int:
    """A whole number that `make` passes on, or `UsageError`."""
    if not text.removeprefix("-").isdecimal():
        raise UsageError(f"{name}={text}: must be a whole number, as in {example}")
    return int(text)


def look_for_problems(name: str, now: datetime) -> int:
    hint = ""
    try:
        stack = read_stack(name, now)
        subscription.use_written(stack)
        found = examine(stack)
    except SettingsError as error:
        found = examine_tools() + [Finding("problem", line) for line in error.problems]
        hint = error.hint
    print("\n".join([*report(found), *([hint] if hint else [])]))
    return 1 if any(finding.level == "problem" for finding in found) else 0


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    try:
        return run(options)
    except (OperateError, SettingsError, PricesError) as error:
        for line in str(error).splitlines():
            say(f"{options.verb}: {line}")
        for line in getattr(error, "causes", ()):
            say(f"{options.verb}: {line}")
        if isinstance(error, CommandError) and len(error.output.splitlines()) > 1:
            say(error.output)
        return int(getattr(error, "exit_code", 2))
    except Declined:
        say("nothing was changed")
        return 1
    except KeyboardInterrupt:
        say("interrupted; make status shows what exists")
        return 130


def _terminated(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    # Like Ctrl-C: tunnels are closed, and `e2e` destroys what it created.
    signal.signal(signal.SIGTERM, _terminated)
    sys.exit(main())
