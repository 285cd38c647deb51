"""A deployed stack: its settings, its names in Azure, its programs' outputs."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from infra.components.names import PROJECT_TAG, prefix
from infra.config.settings import ClusterSettings, FoundationSettings
from infra.facts import ROOT
from infra.operate.lock import unlocked
from infra.operate.progress import UpdateError, watched
from infra.operate.tools import CommandError, OperateError, az, pulumi, say, show
from infra.plan.plan import Given, read_given, settings_of

FOUNDATION = ROOT / "infra" / "foundation"
POLICIES = ROOT / "infra" / "policies"
STACK_TAG, EXPIRY_TAG = "savanna-stack", "savanna-expires"
NOT_YET_KNOWN = ("RoleDefinitionDoesNotExist", "PrincipalNotFound")
"""Azure's errors when it assigns a role whose definition or holder is only seconds old."""
PROPAGATION = 30.0
"""Seconds before the retry."""
FOREVER = "never"
"""The foundation's expiry; `down` removes everything else with the stack's tags."""


@dataclass(frozen=True)
class Stack:
    """One stack of both projects."""

    given: Given
    cluster: ClusterSettings
    foundation: FoundationSettings

    @property
    def name(self) -> str:
        """Pulumi's name for it."""
        return self.cluster.stack

    @property
    def foundation_name(self) -> str:
        """The foundation's stack as Pulumi's commands need it, with its organisation if given;
        several clusters may share it."""
        return self.given.foundation_reference

    @property
    def label(self) -> str:
        """Its name in Azure, also used for its local files."""
        return prefix(self.cluster)

    @property
    def group(self) -> str:
        """The cluster's resource group."""
        return self.cluster.resource_group or self.label

    @cached_property
    def outputs(self) -> Mapping[str, Any]:
        """The cluster's outputs; empty while it does not exist."""
        return outputs_of(ROOT, self.name)

    @cached_property
    def foundation_outputs(self) -> Mapping[str, Any]:
        """The foundation's outputs; empty while it does not exist."""
        return outputs_of(FOUNDATION, self.foundation_name)

    @cached_property
    def known(self) -> Mapping[str, Any]:
        """The outputs, or what Azure shows of them: an `up` that was interrupted has written none,
        but may have made the head."""
        return self.outputs or _from_azure(self)

    def output(self, key: str) -> str:
        """One of the cluster's outputs, or `OperateError` if there is no cluster."""
        if not self.known.get(key):
            raise OperateError(f"there is no cluster {self.label}: make up STACK={self.name}")
        return str(self.known[key])

    def forget_outputs(self) -> None:
        """Ask Pulumi again next time."""
        for key in ("outputs", "foundation_outputs", "known"):
            self.__dict__.pop(key, None)


def read_stack(name: str, now: datetime) -> Stack:
    """The stack with the settings from its files; `SettingsError` with all mistakes."""
    given = read_given(name)
    return Stack(given, *settings_of(given, now))


def create(name: str, program: Path) -> None:
    """Make sure that Pulumi knows the stack, so that it can be configured and previewed."""
    pulumi("stack", "select", name, "--create", cwd=program)


def deploy(name: str, program: Path, *, yes: bool = False, verbose: bool = False) -> None:
    """`pulumi up` of one program's stack, under the policies.

    The cluster's state is read first (`--refresh`), so that a pool that was scaled since is not
    reset to what Pulumi remembers. If Azure does not find a role or identity yet because it was
    just created, there is one retry. `OperateError` says that what was created may cost money, and
    ends with the cause. `yes`: take over the lock of a `pulumi` that is gone; `verbose`: show all
    that Pulumi says.
    """
    create(name, program)
    command = _command("up", name, program)
    command.append("--yes")

    def run() -> None:
        unlocked(name, program, lambda: watched(command, program, "up", verbose=verbose), yes=yes)

    try:
        try:
            run()
        except UpdateError as error:
            if not any(code in error.shown for code in NOT_YET_KNOWN):
                raise
            say(f"Azure does not find what it has just created; trying again in {PROPAGATION:g} s")
            time.sleep(PROPAGATION)
            run()
    except UpdateError as error:
        more = "" if verbose else f"; all that Pulumi said is in {error.log}"
        lines = [
            f"{error}{more}",
            "what was created so far exists and may cost money: make status, make down (and make "
            "purge for the foundation). Fix the cause, then run the same command again",
            *(error.causes or []),
        ]
        raise OperateError("\n".join(lines)) from error


def preview(name: str, program: Path) -> None:
    """`pulumi preview` of what `deploy` would do."""
    create(name, program)
    show(_command("preview", name, program), program)


def _command(verb: str, name: str, program: Path) -> list[str]:
    refresh = ["--refresh"] if program == ROOT else []
    return [
        "pulumi",
        verb,
        "--stack",
        name,
        "--non-interactive",
        "--policy-pack",
        str(POLICIES),
        *refresh,
    ]


def destroy(name: str, program: Path, *options: str, verbose: bool = False) -> None:
    """`pulumi destroy` of one program's stack; raises `UpdateError`."""
    command = ["pulumi", "destroy", "--stack", name, "--yes", "--non-interactive"]
    watched([*command, "--skip-preview", *options], program, "down", verbose=verbose)


def machines(stack: Stack) -> list[dict[str, Any]]:
    """The cluster's virtual machines with their power state; none without a group."""
    if not az("group", "exists", "--name", stack.group):
        return []
    found = az("vm", "list", "--resource-group", stack.group, "--show-details") or []
    return [machine for machine in found if in_group(machine, stack)]


def _from_azure(stack: Stack) -> dict[str, Any]:
    """As much of the cluster's outputs as its machines show; nothing if there are none."""
    there = machines(stack)
    head = next((one for one in there if one["name"] == f"{stack.label}-head"), {})
    if not there:
        return {}
    return {
        "resource_group": stack.group,
        "head_vm": f"{stack.label}-head",
        "head_vm_id": head.get("id"),
        "head_unique_id": head.get("vmId"),
        "head_address": head.get("privateIps"),
        "bastion": f"{stack.label}-bastion" if stack.cluster.network.bastion else "",
        "expires": ((head or there[0]).get("tags") or {}).get(EXPIRY_TAG, ""),
    }


def leftovers(stack: Stack) -> list[dict[str, Any]]:
    """What Azure still has of the cluster: with its tags, or made by Azure for that."""
    found = {}
    for resource in az("resource", "list", "--tag", f"{STACK_TAG}={stack.name}") or []:
        if is_ours(resource, stack):
            found[resource["id"].lower()] = resource
    if az("group", "exists", "--name", stack.group):
        for resource in az("resource", "list", "--resource-group", stack.group) or []:
            if in_group(resource, stack):
                found[resource["id"].lower()] = resource
    return [found[key] for key in sorted(found)]


def in_group(resource: Mapping[str, Any], stack: Stack) -> bool:
    """Whether something in the cluster's resource group belongs to the cluster."""
    if STACK_TAG in (resource.get("tags") or {}):
        return is_ours(resource, stack)
    # What Azure creates itself, such as disks, has no tags, but its name starts like its machine's.
    if not stack.cluster.resource_group:  # its own group; pools of earlier settings may be there
        return resource["name"].startswith(f"{stack.label}-")
    machines = ("head", *(pool.name for pool in stack.cluster.pools))
    return resource["name"].startswith(tuple(f"{stack.label}-{name}" for name in machines))


def strangers(stack: Stack) -> list[dict[str, Any]]:
    """What is in the cluster's own group and belongs to somebody else."""
    if stack.cluster.resource_group or not az("group", "exists", "--name", stack.group):
        return []
    there = az("resource", "list", "--resource-group", stack.group) or []
    return [one for one in there if not in_group(one, stack)]


def is_ours(resource: Mapping[str, Any], stack: Stack) -> bool:
    """Whether something has the cluster's tags."""
    tags = resource.get("tags") or {}
    return (
        tags.get(PROJECT_TAG) == stack.cluster.name
        and tags.get(STACK_TAG) == stack.name
        and tags.get(EXPIRY_TAG) != FOREVER
    )


def outputs_of(program: Path, name: str) -> Mapping[str, Any]:
    """The outputs of a stack of `program`; empty if there is no such stack."""
    try:
        text = pulumi("stack", "output", "--json", "--stack", name, cwd=program)
    except CommandError as error:
        if "no stack named" in error.output:
            return {}
        raise
    found = json.loads(text)
    return found if isinstance(found, dict) else {}
