"""`make down` and `make purge`: destroy things and check that they are gone."""

from __future__ import annotations

import time
from typing import Any

from infra.components.names import PROJECT_TAG, prefix
from infra.facts import ROOT
from infra.local import context
from infra.operate.ask import confirm, confirm_by_name
from infra.operate.leave import take_leave
from infra.operate.lock import unlocked
from infra.operate.locks import forbids_all, locks
from infra.operate.orphans import remove_orphans
from infra.operate.remaining import priced
from infra.operate.stack import (
    EXPIRY_TAG,
    FOREVER,
    FOUNDATION,
    STACK_TAG,
    Stack,
    destroy,
    leftovers,
    strangers,
)
from infra.operate.state import (
    PassphraseError,
    Record,
    forget,
    forget_passphrase,
    make_sure,
    read_record,
)
from infra.operate.tools import CommandError, OperateError, az, pulumi, say
from infra.operate.zero import empty_pools, remove
from infra.plan.prices import load

OWN_GROUP = "resources:ResourceGroup::group-own"
"""Kept if strangers are in it: Azure would delete them too."""
WRONG_PASSPHRASE = "its state cannot be decrypted"
SETTLE = (0.0, 15.0, 45.0, 120.0)
"""Seconds before each look at what is left: Azure's list lags behind its deletions."""


def down(stack: Stack, *, yes: bool, at_once: bool = False, verbose: bool = False) -> None:
    """Destroy the cluster, keep the foundation; `OperateError` if anything of the cluster is left.

    Whatever state it is in: what Pulumi cannot destroy is removed by its tags. `at_once`: do not
    let running jobs write a last checkpoint.
    """
    record = read_record(stack.name, ROOT)
    there = leftovers(stack)
    if not there and not (record and (record.urns or record.pending)):
        say(f"there is no cluster {stack.label}; the foundation, if any, stays")
        return
    say(f"will be destroyed, with all data that is only on its machines ({len(there)} resources):")
    for resource in there:
        say(f"  {_line(resource)}")
    others = strangers(stack)
    say("will stay:")
    for line in [*staying(stack), *(f"{_line(one)}, which is not the cluster's" for one in others)]:
        say(f"  {line}")
    _permitted(stack, there)
    confirm(f"Destroy the cluster {stack.label}?", yes=yes)
    by_tags = _why_without_pulumi(stack, record, yes=yes)
    # From here on it is sure that destruction can begin.
    if not at_once:
        take_leave(stack)
    problems: list[str] = []
    if not by_tags and record:
        remove_orphans(stack, record)
        empty_pools(stack)
        by_tags = _destroy(stack, record, keep_group=bool(others), yes=yes, verbose=verbose)
    if by_tags or _left(stack):
        problems = remove(stack, record)
    stack.forget_outputs()
    _verify(stack, problems)
    if by_tags and record:
        unlocked(stack.name, ROOT, lambda: forget(stack.name, ROOT), yes=yes)
        if by_tags == WRONG_PASSPHRASE:
            forget_passphrase(ROOT / f"Pulumi.{stack.name}.yaml")
    context.forget(stack.label)
    say(
        f"{stack.label} is gone and no longer billed. The foundation stays; to remove it too: "
        f"make purge STACK={stack.name}"
    )


def _permitted(stack: Stack, there: list[dict[str, Any]]) -> None:
    """Name Azure's locks; `OperateError` if one forbids all."""
    found = locks(stack)
    if total := [lock for lock in found if forbids_all(lock, stack)]:
        raise OperateError(
            "\n".join(
                [
                    "Azure's locks forbid deletion, so nothing was stopped. This stays:",
                    *priced(there, stack, load()),
                    *(f"lock {lock}" for lock in total),
                    "whoever set them can lift them, then run this again: az lock delete --ids "
                    + " ".join(lock.id for lock in total),
                ]
            )
        )
    for lock in found:
        say(f"lock {lock}: what it protects will stay; the rest goes")


def _why_without_pulumi(stack: Stack, record: Record | None, *, yes: bool) -> str:
    """Why Pulumi cannot destroy the cluster; empty if it can."""
    if record is None:
        say(f"Pulumi knows no stack {stack.name}: its state is lost. Removing by tags")
        return "its state is lost"
    try:
        make_sure(stack.name, ROOT, record, yes=yes)
    except PassphraseError as error:
        say(f"{error}. If somebody has the right passphrase, stop here and use that")
        confirm(f"Remove {stack.label} by its tags, without Pulumi?", yes=yes)
        return WRONG_PASSPHRASE
    return ""


def _destroy(stack: Stack, record: Record, *, keep_group: bool, yes: bool, verbose: bool) -> str:
    """Let Pulumi destroy the cluster; why it could not, else empty."""
    group = record.urns.get(OWN_GROUP)
    options = ["--continue-on-error", *(["--exclude", group] if keep_group and group else [])]
    try:
        unlocked(
            stack.name, ROOT, lambda: destroy(stack.name, ROOT, *options, verbose=verbose), yes=yes
        )
    except CommandError as error:
        for line in getattr(error, "causes", None) or [str(error)]:
            say(line)
        say("what Pulumi could not destroy is now removed by its tags")
        return "Pulumi has failed"
    return ""


def staying(stack: Stack) -> list[str]:
    """What `down` keeps, in words."""
    home = stack.foundation_outputs
    lines = [
        f"results in {home.get('storage_uri', 'the storage account')}",
        f"images in {home.get('registry_login_server', 'the registry')}",
        f"the key vault {home.get('vault_uri', '')}, with this cluster's token, which is then "
        "useless",
    ]
    if stack.foundation.monthly_budget:
        lines.append("the budget and its alerts")
    if stack.cluster.resource_group:
        lines.append(f"the resource group {stack.cluster.resource_group}, which existed before")
    if subnet := stack.cluster.network.existing_subnet_id:
        lines.append(f"the subnet {subnet.rsplit('/', 1)[-1]} and its network")
    return lines


def _left(stack: Stack) -> list[dict[str, Any]]:
    """What is there when Azure's list has settled: it lags behind deletions."""
    left: list[dict[str, Any]] = []
    for pause in SETTLE:
        time.sleep(pause)
        left = leftovers(stack)
        if not left:
            break
    return left


def _verify(stack: Stack, problems: list[str]) -> None:
    left = _left(stack)
    if not left and not problems:
        return
    lines = []
    if left:
        lines = [
            f"{len(left)} resources are left and may cost money:",
            *priced(left, stack, load()),
        ]
    lines += [f"not removed: {line}" for line in problems]
    if left:
        lines.append(
            "run make down again in a few minutes, or remove them: az resource delete --ids "
            + " ".join(resource["id"] for resource in left)
        )
    raise OperateError("\n".join(lines))


def _line(resource: dict[str, str]) -> str:
    return f"{resource['name']}  {resource['type'].removeprefix('Microsoft.')}"


def purge(stack: Stack, *, yes: bool, name: str, verbose: bool = False) -> None:
    """Also remove the foundation: results, images, everything. Asks twice."""
    if leftovers(stack) or stack.outputs:
        raise OperateError(f"the cluster still exists: run make down STACK={stack.name} first")
    home = stack.foundation_outputs
    if not home:
        say(f"there is no foundation {stack.foundation_name}")
        return
    label = prefix(stack.foundation)
    registry = home.get("registry_login_server")
    say(
        f"will be lost for good: all results in {home.get('storage_uri')}, the vault "
        f"{home.get('vault_uri')}"
        + ("" if stack.foundation.registry else f", all images in {registry}")
    )
    if stack.foundation.registry:
        say(f"will stay: the registry {registry}, which existed before")
    same, others = _other_clusters(stack)
    if same:
        raise OperateError(
            f"clusters of other stacks exist: {', '.join(same)}. They may use this "
            "foundation; destroy them first, with make down"
        )
    if others:
        say(f"other clusters exist; do they use this foundation? {', '.join(others)}")
    confirm(f"Destroy the foundation {label} and all results?", yes=yes)
    confirm_by_name("This cannot be undone.", label, name)
    home_stack = stack.foundation_name

    def lift() -> None:
        pulumi("state", "unprotect", "--all", "--yes", "--stack", home_stack, cwd=FOUNDATION)

    unlocked(home_stack, FOUNDATION, lift, yes=yes)
    destroy(home_stack, FOUNDATION, verbose=verbose)
    stack.forget_outputs()
    group = str(home["resource_group"])
    if not stack.foundation.resource_group and az("group", "exists", "--name", group):
        raise OperateError(f"the resource group {group} still exists: az group show -n {group}")
    say(f"{label} is gone. The vault's name stays reserved for 7 days, at no cost")


def _other_clusters(stack: Stack) -> tuple[list[str], list[str]]:
    """Stacks with clusters in this subscription: of the same name, and of others."""
    same, others = set(), set()
    for one in az("resource", "list", "--tag", EXPIRY_TAG) or []:
        tags = one.get("tags") or {}
        project, name = tags.get(PROJECT_TAG, ""), tags.get(STACK_TAG, "")
        if tags.get(EXPIRY_TAG) != FOREVER and name:
            if project != stack.cluster.name:
                others.add(f"{project}-{name}")
            elif name != stack.name:
                same.add(name)
    return sorted(same), sorted(others)
