"""`make expire`: destroys clusters whose time is over, and warns a day before.

Nothing on Azure acts on a tag; the workflow `expire` runs this every day. A cluster's time is on
its resources, because `make up ARGS=--extend` on somebody's laptop does not change this checkout.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from infra.config.problems import SettingsError
from infra.facts import ROOT
from infra.operate.ask import confirm
from infra.operate.down import down
from infra.operate.stack import EXPIRY_TAG, FOREVER, STACK_TAG, Stack, leftovers, read_stack
from infra.operate.subscription import choose, pin
from infra.operate.tools import OperateError, az, say

NOTICE = timedelta(days=1)


def expire(now: datetime, *, yes: bool, verbose: bool = False, report: Path | None = None) -> int:
    """Look at every stack with settings here; the exit code.

    What somebody has to know goes to stdout, and into the file `report` if there is anything.
    """
    names = [file.name.split(".")[1] for file in sorted(ROOT.glob("Pulumi.*.yaml"))]
    failures, lines = 0, []
    for name in names:
        try:
            lines.append(_look_at(read_stack(name, now), now, yes=yes, verbose=verbose))
        except (OperateError, SettingsError) as error:
            # The others expire all the same.
            failures += 1
            lines += [f"error: stack {name}: {line}" for line in str(error).splitlines()]
    try:
        lines += _unknown(names)
    except OperateError as error:
        failures += 1
        lines.append(f"error: clusters without settings here: {error}")
    lines = [line for line in lines if line]
    if lines:
        text = "\n".join(lines)
        print(text)
        if report:
            report.write_text(text + "\n")
    return 1 if failures else 0


def _look_at(stack: Stack, now: datetime, *, yes: bool, verbose: bool) -> str:
    """Destroy it if its time is over; what to tell about it, or nothing."""
    choose(stack)
    there = leftovers(stack)
    until = expiry(there)
    if until is None:
        say(f"{stack.label}: not there")
        return ""
    if until <= now:
        confirm(f"{stack.label} expired at {until:%Y-%m-%d %H:%M} UTC. Destroy it?", yes=yes)
        down(stack, yes=True, verbose=verbose)
        return f"{stack.label} expired at {until:%Y-%m-%d %H:%M} UTC and is destroyed"
    if until - now <= NOTICE:
        hours = (until - now).total_seconds() / 3600
        owner = stack.cluster.owner
        return (
            f"warning: {stack.label} ({owner}) expires in {hours:.0f} h and is then destroyed; "
            f"results stay. To keep it: make up STACK={stack.name} ARGS=--extend"
        )
    say(f"{stack.label}: until {until:%Y-%m-%d %H:%M} UTC")
    return ""


def expiry(resources: list[dict[str, Any]]) -> datetime | None:
    """The latest time on them: machines may have come before it was extended."""
    texts = {str((one.get("tags") or {}).get(EXPIRY_TAG) or FOREVER) for one in resources}
    texts -= {FOREVER}
    try:
        return max((datetime.fromisoformat(t).astimezone(UTC) for t in texts), default=None)
    except ValueError as error:
        raise OperateError(f"the tag {EXPIRY_TAG} is not a time: {error}") from error


def _unknown(names: list[str]) -> list[str]:
    """Clusters in the subscription without settings here; they are not ours to destroy."""
    pin("")  # of the login, not of the last stack
    found = az("resource", "list", "--tag", EXPIRY_TAG) or []
    others = {
        tags.get(STACK_TAG, "")
        for one in found
        if (tags := one.get("tags") or {}).get(EXPIRY_TAG, FOREVER) != FOREVER
    }
    return [
        f"warning: stack {name} has no Pulumi.{name}.yaml here, so nobody looks when it expires"
        for name in sorted(others - {*names, ""})
    ]
