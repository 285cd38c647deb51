"""`make up`: from settings to a cluster whose nodes have joined."""

from __future__ import annotations

import shutil
from datetime import datetime

from infra.facts import ROOT
from infra.operate.access import allow_me
from infra.operate.ask import confirm
from infra.operate.checks.finding import report
from infra.operate.doctor import examine
from infra.operate.expiry import new_expiry, set_expiry
from infra.operate.orphans import remove_orphans
from infra.operate.publish import publish_images
from infra.operate.replace import leave_before
from infra.operate.review import refuse_strangers, review
from infra.operate.roll import settle
from infra.operate.stack import FOUNDATION, Stack, deploy, leftovers, read_stack
from infra.operate.start import start_stopped
from infra.operate.state import make_sure, read_record
from infra.operate.subscription import choose, named, remember, use_written
from infra.operate.tools import CommandError, OperateError, say
from infra.operate.wait import wait_for_nodes
from infra.plan.plan import Plan, make
from infra.plan.prices import load


def check(stack: Stack, now: datetime) -> Plan:
    """The plan, after the doctor's checks; `OperateError` if either finds a problem."""
    plan = make(stack.given, now, load())
    broken = [f"policy {v.rule}: {v.resource}: {v.message}" for v in plan.violations]
    if broken:
        raise OperateError("\n".join(broken))
    findings = examine(stack)
    for line in report([f for f in findings if f.level != "ok"]):
        say(line)
    problems = sum(finding.level == "problem" for finding in findings)
    if problems:
        raise OperateError(
            f"problems found: {problems}; nothing was changed. make doctor shows everything"
        )
    return plan


def up(
    name: str,
    now: datetime,
    *,
    yes: bool,
    minutes: float,
    extend: bool = False,
    verbose: bool = False,
) -> None:
    """Check, ask, build the foundation, the images and the cluster, and wait for its nodes.

    `extend`: move its expiry. `verbose`: show all that Pulumi says.
    """
    stack = read_stack(name, now)
    use_written(stack)
    exists = _existing(stack)
    expires = new_expiry(stack, now, extend=extend, exists=exists)
    account = choose(stack) if exists else {}
    if exists:
        review(stack)
    plan = check(stack, now)
    account = account or choose(stack)
    refuse_strangers(stack)
    _refuse_unknown(stack)
    low, high = plan.bill.hourly()
    confirm(
        f"{stack.label} in {stack.cluster.location}, {named(account)}, costs about ${low:.2f} per "
        f"hour, ${high:.2f} with all workers (make plan itemizes this). Build it?",
        yes=yes,
    )
    remember(stack, account)
    if stack.foundation_name == stack.name or not stack.foundation_outputs:
        deploy(stack.foundation_name, FOUNDATION, yes=yes, verbose=verbose)
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
    clean_up(stack, yes=yes)
    prepared = leave_before(stack, yes=yes)
    if stack.known and not prepared.head_goes:
        # Azure does not say which disk a stopped machine has, and Pulumi would "add" it.
        start_stopped(stack)
    deploy(stack.name, ROOT, yes=yes, verbose=verbose)
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


def clean_up(stack: Stack, *, yes: bool) -> None:
    """After an `up` that was killed: what it was making must not stand in the way."""
    record = read_record(stack.name, ROOT)
    if record and record.pending:
        make_sure(stack.name, ROOT, record, yes=yes)
        remove_orphans(stack, record)


def _refuse_unknown(stack: Stack) -> None:
    """What Pulumi has no record of could not be built: it "exists already"."""
    record = read_record(stack.name, ROOT)
    if record and (record.urns or record.pending):
        return
    if there := leftovers(stack):
        names = ", ".join(one["name"] for one in there[:3])
        raise OperateError(
            f"Azure has {len(there)} resources of {stack.label} ({names}...), of which Pulumi has "
            "no record: is this the right `pulumi login`? If the state is lost, "
            f"make down STACK={stack.name} removes them by their tags"
        )


def _existing(stack: Stack) -> bool:
    # The tools may be missing here; the doctor reports that later.
    return bool(shutil.which("pulumi") and shutil.which("az") and _outputs(stack))


def _outputs(stack: Stack) -> bool:
    try:
        return bool(stack.outputs)
    except CommandError:
        return False
