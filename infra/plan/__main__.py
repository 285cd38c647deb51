"""`make plan`: what `make up` would build, its permissions and price. No account, no CLI."""

from __future__ import annotations

import argparse
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from infra.config.problems import SettingsError
from infra.plan.plan import Given, make, read_given
from infra.plan.prices import PricesError
from infra.plan.prices import load as load_prices
from infra.plan.saved import SavedPlanError, as_json, difference, difference_text
from infra.plan.saved import load as load_plan
from infra.plan.style import style_for
from infra.plan.text import page


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m infra.plan",
        description=f"{__doc__} Exit code 1: a policy is violated; 2: wrong settings.",
        allow_abbrev=False,
    )
    top.add_argument(
        "--stack", default="dev", help="stack whose settings to use (default: %(default)s)"
    )
    top.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="changes",
        help="try another value of a cluster setting; foundation:KEY=VALUE for the foundation",
    )
    top.add_argument(
        "--example", action="store_true", help="use placeholders for settings that must be set"
    )
    top.add_argument("--json", action="store_true", help="print JSON, for scripts and for --diff")
    top.add_argument(
        "--diff", type=Path, metavar="FILE", help="compare with a plan saved with --json"
    )
    top.add_argument(
        "--prices",
        type=Path,
        metavar="FILE",
        help="your own prices, in the format of infra/plan/prices.json",
    )
    top.add_argument(
        "--storage-gb",
        type=float,
        default=100,
        metavar="N",
        help="GB of results to assume for the price (default: %(default)s)",
    )
    top.add_argument("--debug", action="store_true", help="show a traceback if a program fails")
    return top


def changed(given: Given, changes: list[str]) -> Given:
    """`given` with each `KEY=VALUE` set; `SettingsError` for any other text."""
    wrong = [text for text in changes if "=" not in text]
    if wrong:
        raise SettingsError(f"--set {text}: write KEY=VALUE" for text in wrong)
    cluster, foundation = dict(given.cluster), dict(given.foundation)
    for text in changes:
        key, _, value = text.partition("=")
        if key.startswith("foundation:"):
            foundation[key.removeprefix("foundation:")] = value
        else:
            cluster[key] = value
    return Given(given.stack, cluster, foundation, given.azure)


def main(argv: list[str] | None = None) -> int:
    options = parser().parse_args(argv)
    now = datetime.now(UTC)
    try:
        saved = load_plan(options.diff) if options.diff else None
        prices = load_prices(options.prices)
        given = changed(read_given(options.stack, example=options.example), options.changes)
        plan = make(given, now, prices, options.storage_gb)
    except (SettingsError, PricesError, SavedPlanError) as error:
        for line in str(error).splitlines():
            print(f"plan: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if options.debug:
            raise
        print(f"plan: the program failed: {error} (ARGS=--debug shows more)", file=sys.stderr)
        return 1
    style = style_for(sys.stdout)
    shown = as_json(plan, now)
    found = difference(saved, shown) if saved else None
    try:
        if options.json:
            print(json.dumps(found or shown, indent=1))
        elif found:
            print(difference_text(found, style))
        else:
            print(page(plan, prices, now.date(), style))
        sys.stdout.flush()
    except BrokenPipeError:  # `make plan | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 1 if plan.violations else 0


if __name__ == "__main__":
    sys.exit(main())
