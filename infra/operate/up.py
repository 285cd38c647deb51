"""`make up`: from settings to a cluster whose nodes have joined."""

from __future__ import annotations

import shutil
from datetime import datetime

from infra.facts import ROOT
from infra.operate.access import allow_me
from infra.operate.ask import confirm
from infra.operate.doctor import examine, report
from infra.operate.expiry import new_expiry, set_expiry
from infra.operate.publish import publish_images
from infra.operate.replace import leave_before
from infra.operate.review import refuse_strangers, review
from infra.operate.roll import settle
from infra.operate.stack import FOUNDATION, Stack, deploy, machines, read_stack
from infra.operate.subscription import choose, named, remember
from infra.operate.tools import CommandError, OperateError, az, say
from infra.operate.wait import wait_for_nodes
from infra.plan.plan import Plan, make
from infra.plan.prices import load

STOPPED = ("VM deallocated", "VM deallocating", "VM stopped")
"""After a node has stopped itself; "VM stopped" if it could not deallocate itself."""


def check(stack: Stack, now: datetime, *, exists: bool) -> Plan:
    """The plan, after the doctor's checks; `OperateError` if either finds a problem."""
    plan = make(stack.given, now, load())
    broken = [f"policy {v.rule}: {v.resource}: {v.message}" for v in plan.violations]
    if broken:
        raise OperateError("\n".join(broken))
    findings = examine(stack, exists=exists)
    for line in report([f for f in findings if f.level != "ok"]):
        say(line)
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        raise OperateError(
            f"{problems} problems; nothing was created. make doctor shows everything"
        )
    return plan


def up(name: str, now: datetime, *, yes: bool, minutes: float, extend: bool = False) -> None:
    """Check, ask, build the foundation, the images and the cluster, and wait for its nodes.

    `extend`: move its expiry.
    """
    stack = read_stack(name, now)
    exists = _existing(stack)
    expires = new_expiry(stack, now, extend=extend, exists=exists)
    account = choose(stack) if exists else {}
    if exists:
        review(stack)
    plan = check(stack, now, exists=exists)
    account = account or choose(stack)
    refuse_strangers(stack)
    low, high = plan.bill.hourly()
    confirm(
        f"{stack.label} in {stack.cluster.location}, {named(account)}, costs about ${low:.2f} per "
        f"hour, ${high:.2f} with all workers (make plan itemizes this). Build it?",
        yes=yes,
    )
    remember(stack, account)
    if stack.foundation_name == stack.name or not stack.foundation_outputs:
        deploy(stack.foundation_name, FOUNDATION)
        stack.forget_outputs()
    else:
        say(
            f"using the foundation {stack.foundation_name} as it is; make foundation "
            f"STACK={stack.foundation_name} updates it"
        )
    if expires:
        set_expiry(stack, expires)
    if publish_images(stack):
        stack = read_stack(name, now)
    prepared = leave_before(stack, yes=yes)
    if stack.outputs and not prepared.head_goes:
        # Azure does not say which disk a stopped machine has, and Pulumi would "add" it.
        start_stopped(stack)
    deploy(stack.name, ROOT)
    stack.forget_outputs()
    allow_me(stack)
    start_stopped(stack)
    settle(stack, prepared.counts, lambda: wait_for_nodes(stack, minutes))
    wait_for_nodes(stack, minutes)
    say(
        f"ready. Next:\n"
        f"  make tunnel STACK={name}      in another terminal\n"
        f"  savanna submit pong --workers {stack.cluster.min_workers} --wait\n"
        f"  make status STACK={name}\n"
        f"  make down STACK={name}        keeps results and images\n"
        f"Results are in {stack.outputs.get('storage_uri')}"
    )


def start_stopped(stack: Stack) -> None:
    """Start machines that have stopped themselves, which Pulumi does not notice."""
    stopped = [one for one in machines(stack) if one.get("powerState") in STOPPED]
    if stopped:
        say(f"starting {', '.join(one['name'] for one in stopped)}")
        az("vm", "start", "--ids", *(one["id"] for one in stopped))


def _existing(stack: Stack) -> bool:
    # The tools may be missing here; the doctor reports that later.
    return bool(shutil.which("pulumi") and shutil.which("az") and _outputs(stack))


def _outputs(stack: Stack) -> bool:
    try:
        return bool(stack.outputs)
    except CommandError:
        return False
