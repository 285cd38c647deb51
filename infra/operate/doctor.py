"""`make doctor`: whether `make up` can work, checked before anything is created."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from typing import Any

from infra.config.os_images import os_image
from infra.config.settings import ClusterSettings
from infra.config.sizes import VmSize
from infra.operate.access import roles_at, who
from infra.operate.publish import lacking, to_build
from infra.operate.stack import Stack
from infra.operate.tools import CommandError, az, missing, pulumi
from infra.plan.quota import needs

PROVIDERS = (
    "Microsoft.Compute",
    "Microsoft.Network",
    "Microsoft.Storage",
    "Microsoft.KeyVault",
    "Microsoft.ContainerRegistry",
    "Microsoft.ManagedIdentity",
    "Microsoft.Authorization",
    "Microsoft.Consumption",
)
# A Role Based Access Control Administrator may assign roles, but not define one, as StopRole does.
MAY_ASSIGN = "User Access Administrator"
LEAST_AZ = (2, 60)  # Flexible scale sets in `az vmss scale`, Bastion's tunnels


@dataclass(frozen=True)
class Finding:
    """The result of one check. `level`: "ok", "warning" (it may work) or "problem"."""

    level: str
    what: str
    fix: str = ""


def examine(stack: Stack, *, exists: bool = False) -> list[Finding]:
    """Check everything, in the order in which it would fail. `exists`: the cluster exists, and so
    counts towards the quota that Azure reports as used.

    Checks that depend on one that failed are left out.
    """
    found = examine_tools()
    if any(finding.level == "problem" for finding in found):
        return found
    found += _builds(stack)
    account = _ask(lambda: az("account", "show"))
    if isinstance(account, str):
        return [*found, Finding("problem", "not logged in to Azure", "az login")]
    found += _account(account)
    found += _rights(account)
    found += _bastion_extension(stack.cluster)
    found += _providers()
    location = stack.cluster.location
    regions = az("account", "list-locations") or []
    if location not in {region["name"] for region in regions}:
        found.append(
            Finding(
                "problem",
                f"no region {location} in this subscription",
                f"pulumi config set location NAME --stack {stack.name}; "
                "az account list-locations lists the names",
            )
        )
        return found
    found.append(Finding("ok", f"region {location}"))
    for size, spot in _sizes(stack.cluster).items():
        found += _size(size, spot, location)
    found += _images(stack.cluster)
    found += _quota(stack.cluster, exists)
    return found


def examine_tools() -> list[Finding]:
    """The checks that need no settings."""
    return list(_tools())


def _tools() -> Iterator[Finding]:
    absent = missing(("az", "pulumi", "ssh"))
    yield from (Finding("problem", line.split(". ")[0], line.split(". ")[1]) for line in absent)
    if not any(line.startswith("pulumi") for line in absent):
        yield _version("pulumi", pulumi("version"), _pinned_pulumi())
        yield _pulumi_state()
    if not any(line.startswith("az ") for line in absent):
        yield _version("az", str((az("version") or {}).get("azure-cli", "")), LEAST_AZ)


def _pulumi_state() -> Finding:
    """Where Pulumi keeps the state of stacks, which includes the Ray token (encrypted)."""
    answer = _ask(lambda: pulumi("whoami", "--json"))
    if answer.startswith("error"):
        return Finding(
            "problem",
            "Pulumi has no place for its state",
            "pulumi login azblob://CONTAINER?storage_account=NAME (for a team), or "
            "pulumi login --local (only on this machine)",
        )
    who = json.loads(answer)
    url = str(who.get("url", ""))
    passphrase = any(
        os.environ.get(f"PULUMI_CONFIG_PASSPHRASE{end}") is not None for end in ("", "_FILE")
    )
    if not url.startswith("https://") and not passphrase:
        return Finding(
            "problem",
            f"Pulumi's state in {url} has no passphrase for its secrets",
            "export PULUMI_CONFIG_PASSPHRASE_FILE=FILE, with a file that the whole team has",
        )
    return Finding("ok", f"Pulumi keeps its state in {url} as {who.get('user')}")


def _pinned_pulumi() -> tuple[int, int]:
    """The SDK's own release: older command lines have not been tried."""
    major, minor = version("pulumi").split(".")[:2]
    return int(major), int(minor)


def _version(name: str, text: str, least: tuple[int, int]) -> Finding:
    found = re.search(r"(\d+)\.(\d+)", text)
    if found and (int(found[1]), int(found[2])) >= least:
        return Finding("ok", f"{name} {text.strip()}")
    wanted = ".".join(map(str, least))
    return Finding("problem", f"{name} {text.strip()} is too old", f"install {wanted} or newer")


def _ask(question: Callable[[], Any]) -> Any:
    """The answer, or a text that starts with "error" if there is none."""
    try:
        return question()
    except CommandError as error:
        return f"error: {error.output}"


def _account(account: dict[str, Any]) -> Iterator[Finding]:
    named = f"subscription {account['name']} ({account['id']}) as {account['user']['name']}"
    if account.get("state") != "Enabled":
        yield Finding(
            "problem", f"{named} is {account.get('state')}", "az account set --subscription NAME"
        )
    else:
        yield Finding("ok", named)


def _rights(account: dict[str, Any]) -> Iterator[Finding]:
    """The programs create resources, define a role and assign roles. Custom roles may also allow
    that, so this is never a problem."""
    scope = f"/subscriptions/{account['id']}"
    roles = _ask(lambda: roles_at(scope, who()[0]))
    if isinstance(roles, str):
        yield Finding(
            "warning",
            "cannot read your permissions",
            "make sure that you may create resources and define and assign roles",
        )
    elif "Owner" in roles or {"Contributor", MAY_ASSIGN} <= roles:
        yield Finding("ok", f"permissions in the subscription: {', '.join(sorted(roles))}")
    else:
        has = ", ".join(sorted(roles)) or "none"
        yield Finding(
            "warning",
            f"permissions in the subscription: {has}; that may not be enough",
            f"become Owner, or Contributor and {MAY_ASSIGN}, of the subscription: it gets a role "
            "definition and a budget",
        )


def _builds(stack: Stack) -> Iterator[Finding]:
    """Checked before a foundation costs money."""
    flavours = to_build(stack)
    problems = [Finding("problem", what, fix) for what, fix in lacking(flavours)]
    if flavours and not problems:
        yield Finding("ok", f"images can be built and pushed: {', '.join(flavours)}")
    yield from problems


def _bastion_extension(settings: ClusterSettings) -> Iterator[Finding]:
    if settings.network.bastion:
        names = {one["name"] for one in az("extension", "list") or []}
        if "bastion" not in names:
            yield Finding(
                "problem",
                "az lacks the bastion extension, which opens tunnels",
                "az extension add --name bastion",
            )


def _providers() -> Iterator[Finding]:
    states = {one["namespace"]: one["registrationState"] for one in az("provider", "list") or []}
    for name in PROVIDERS:
        if states.get(name) != "Registered":
            yield Finding(
                "problem",
                f"{name} is not registered in the subscription",
                f"az provider register --namespace {name} --wait",
            )
    if all(states.get(name) == "Registered" for name in PROVIDERS):
        yield Finding("ok", f"{len(PROVIDERS)} resource providers are registered")


def _sizes(settings: ClusterSettings) -> dict[VmSize, bool]:
    """Size -> whether some pool wants it as spot."""
    wanted = {settings.head.size: False}
    for pool in settings.pools:
        wanted[pool.size] = wanted.get(pool.size, False) or pool.spot
    return wanted


def _size(size: VmSize, spot: bool, location: str) -> Iterator[Finding]:
    listed = (
        az(
            "vm",
            "list-skus",
            "--location",
            location,
            "--size",
            size.name,
            "--all",
            "--resource-type",
            "virtualMachines",
        )
        or []
    )
    sku = next((one for one in listed if one["name"].lower() == size.name.lower()), None)
    others = "choose another size or location; make plan shows its price"
    if sku is None:
        yield Finding("problem", f"{size.name} is not offered in {location}", others)
        return
    blocked = [r for r in sku.get("restrictions") or [] if r.get("type") == "Location"]
    if blocked:
        reason = blocked[0].get("reasonCode", "restricted")
        fix = "request it: portal, Help + support, Quota" if reason == "QuotaId" else others
        yield Finding("problem", f"{size.name} in {location}: {reason}", fix)
        return
    has = {one["name"]: one["value"] for one in sku.get("capabilities") or []}
    wrong = [
        f"{name} is {has[key]}, not {ours}"
        for name, key, ours in (
            ("vCPUs", "vCPUs", f"{size.vcpus}"),
            ("memory", "MemoryGB", f"{size.memory_gib:g}"),
            ("GPUs", "GPUs", f"{size.gpus}"),
        )
        if key in has and float(has[key]) != float(ours)
    ]
    if wrong:
        yield Finding(
            "warning",
            f"{size.name}: {', '.join(wrong)} as in infra/config/sizes.json",
            "correct the table, which Ray's resources come from",
        )
    if spot and has.get("LowPriorityCapable") == "False":
        yield Finding(
            "problem",
            f"{size.name} is not offered as spot in {location}",
            "spot: false, or another size",
        )
        return
    yield Finding("ok", f"{size.name} is offered{' as spot' if spot else ''}")


def _images(settings: ClusterSettings) -> Iterator[Finding]:
    location = settings.location
    for urn, image in {os_image(size).urn: os_image(size) for size in _sizes(settings)}.items():
        show = ("vm", "image", "show", "--urn", urn, "--location", location)
        answer = _ask(partial(az, *show))
        if isinstance(answer, str):
            listing = (
                f"az vm image list --all --location {location} --publisher "
                f"{image.publisher} --offer {image.offer} --sku {image.sku}"
            )
            yield Finding(
                "problem",
                f"no OS image {urn} in {location}",
                f"put an existing version into infra/config/os_images.json: {listing}",
            )
        else:
            yield Finding("ok", f"OS image {urn}")


def _quota(settings: ClusterSettings, exists: bool) -> Iterator[Finding]:
    usage = {
        one["name"]["value"].lower(): (int(one["limit"]), int(one["currentValue"]))
        for one in az("vm", "list-usage", "--location", settings.location) or []
    }
    raise_it = f"portal, Quotas, Compute, {settings.location}: raise it to"
    for need in needs(settings):
        if need.name.lower() not in usage:
            yield Finding(
                "warning",
                f"{need.label}: Azure lists no such quota",
                "check it in the portal, Quotas",
            )
            continue
        limit, used = usage[need.name.lower()]
        free = limit - used
        if free >= need.maximum or exists:
            yield Finding("ok", f"{need.label}: {used} of {limit} in use, {need.maximum} at most")
        elif free >= need.minimum:
            yield Finding(
                "warning",
                f"{need.label}: {free} of {limit} free, {need.minimum} to "
                f"start, {need.maximum} with all workers",
                f"{raise_it} {used + need.maximum}",
            )
        else:
            yield Finding(
                "problem",
                f"{need.label}: {free} of {limit} free, {need.minimum} needed to start",
                f"{raise_it} {used + need.maximum}",
            )


def report(findings: list[Finding]) -> list[str]:
    """One line per finding, followed by its fix."""
    marks = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}
    return [
        f"{marks[f.level]}  {f.what}" + (f"\n         fix: {f.fix}" if f.fix else "")
        for f in findings
    ]
