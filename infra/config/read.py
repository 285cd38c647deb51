"""Turns plain values into valid settings: pure functions that report all mistakes at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime

from infra.config import addresses, project
from infra.config.checks import (
    check_admin_range,
    check_arm_id,
    check_image,
    check_location,
    check_name,
    check_owner,
    check_resource_group,
    check_ssh_key,
    check_tags,
    expiry,
    first_of_month,
)
from infra.config.pools import DISK, SHM_MOST, read_pools, read_shm, read_size
from infra.config.problems import Problems, SettingsError
from infra.config.project import Values
from infra.config.settings import ClusterSettings, FoundationSettings, Head, Image, Limits, Network
from infra.config.sizes import VmSize, warning

__all__ = ["SettingsError", "read_cluster", "read_foundation", "warnings"]

LONGEST_NAME = 20
# Azure allows 64 for a scale set's machine, of which it adds an underscore and eight characters.
LONGEST_MACHINE = 55
MOST_HOURS = 24 * 365


def read_cluster(
    given: Mapping[str, object], stack: str, organization: str, now: datetime
) -> ClusterSettings:
    """The cluster's settings from values by key of `Pulumi.yaml`, or `SettingsError`.

    Values may be text, as Pulumi gives them, or already have their type. The foundation's stack
    is looked up in `organization`; `now` is a time with a zone.
    """
    problems = Problems()
    values = Values(project.load(project.CLUSTER), given, problems)
    today = now.date()
    dev = values.flag("dev")
    images: dict[str, Image] = {}

    def image_for(size: VmSize) -> Image:
        # Only flavours that some node runs need a digest.
        key = "gpuImage" if size.gpus else "cpuImage"
        if key not in images:
            images[key] = check_image(key, values.text(key), dev, problems)
        return images[key]

    name, stack = _names(values, stack, problems)
    owner = check_owner(values.text("owner"), problems)
    tags = check_tags(values.mapping("tags"), problems)
    location = check_location(values.text("location"), problems)
    group = check_resource_group(values.text("resourceGroup"), problems)
    foundation = _foundation(values.text("foundation"), stack, organization, problems)
    key_text = values.text("sshPublicKey")
    key = check_ssh_key(key_text, problems) if key_text else ""
    head = _head(values, image_for, now, problems)
    pools = read_pools(values.entries("pools"), today, image_for, problems)
    for pool in pools:
        if len(machine := f"{name}-{stack}-{pool.name}") > LONGEST_MACHINE:
            fix = f"is too long with name and stack ({machine}): together they may have at most"
            problems.add("pools", pool.name, f"{fix} {LONGEST_MACHINE} characters")
    network = _network(values, problems)
    if network:
        addresses.check_room(network, sum(pool.max for pool in pools), problems)
    limits = Limits(
        join_minutes=values.whole("joinMinutes", 5, 120),
        idle_minutes=values.whole("idleMinutes", 0, 24 * 60),
        max_hours=values.whole("maxHours", 0, MOST_HOURS),
    )
    before = len(problems.lines)
    hours = values.whole("lifetimeHours", 1, MOST_HOURS)
    until = values.text("expires")
    if not until and limits.max_hours > hours and len(problems.lines) == before:
        fix = f"is longer than lifetimeHours {hours}; lower it or raise lifetimeHours"
        problems.add("maxHours", limits.max_hours, fix)
    expires = expiry(until, hours, now, problems)
    problems.raise_any()
    assert head and network  # or there was a problem
    return ClusterSettings(
        name=name,
        stack=stack,
        owner=owner,
        tags=tags,
        location=location,
        foundation=foundation,
        resource_group=group,
        ssh_public_key=key,
        dev=dev,
        head=head,
        pools=pools,
        network=network,
        limits=limits,
        expires=expires,
    )


def read_foundation(given: Mapping[str, object], stack: str, now: datetime) -> FoundationSettings:
    """The foundation's settings from values by key of its `Pulumi.yaml`, or `SettingsError`."""
    problems = Problems()
    values = Values(project.load(project.FOUNDATION), given, problems)
    name, stack = _names(values, stack, problems)
    emails = values.texts("budgetEmails")
    for email in emails:
        if not re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", email):
            problems.add("budgetEmails", email, "is not an e-mail address")
    repository = values.text("repository")
    if repository and not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        problems.add("repository", repository, "write OWNER/NAME, without the site's address")
    branch = values.text("repositoryBranch")
    if not re.fullmatch(r"[\w./-]+", branch):
        problems.add("repositoryBranch", branch, "write the name of one branch, such as main")
    settings = FoundationSettings(
        name=name,
        stack=stack,
        owner=check_owner(values.text("owner"), problems),
        tags=check_tags(values.mapping("tags"), problems),
        location=check_location(values.text("location"), problems),
        resource_group=check_resource_group(values.text("resourceGroup"), problems),
        registry=check_arm_id("registry", values.text("registry"), "registry", problems),
        monthly_budget=values.whole("monthlyBudget", 0, 10_000_000),
        budget_emails=emails,
        budget_start=first_of_month(values.text("budgetStart"), now.date(), problems),
        repository=repository,
        repository_branch=branch,
        keep_days=values.whole("keepDays", 1, 365),
    )
    problems.raise_any()
    return settings


def warnings(settings: ClusterSettings, now: datetime) -> tuple[str, ...]:
    """One line for everything that works today but should be changed."""
    nodes = [("headSize", settings.head.size)]
    nodes += [(f"pools.{pool.name}.size", pool.size) for pool in settings.pools]
    lines = [
        f"{key} {size.name!r}: {line}" for key, size in nodes if (line := warning(size, now.date()))
    ]
    if datetime.fromisoformat(settings.expires) <= now:
        lines.append(
            f"expires {settings.expires!r}: is in the past; make up ARGS=--extend sets a new time"
        )
    return tuple(lines)


def _names(values: Values, stack: str, problems: Problems) -> tuple[str, str]:
    name = check_name("name", values.text("name"), LONGEST_NAME, problems)
    return name, check_name("stack", stack, LONGEST_NAME, problems)


def _foundation(text: str, stack: str, organization: str, problems: Problems) -> str:
    if re.fullmatch(r"[\w.-]*", text):
        return f"{organization}/savanna-foundation/{text or stack}"
    if not re.fullmatch(r"[\w.-]+/savanna-foundation/[\w.-]+", text):
        problems.add("foundation", text, "write STACK or ORGANISATION/savanna-foundation/STACK")
    return text


def _head(
    values: Values, image_for: Callable[[VmSize], Image], now: datetime, problems: Problems
) -> Head | None:
    disk = values.whole("headDiskGib", *DISK)
    shm = values.whole("headShmGib", 0, SHM_MOST)
    size = read_size("headSize", values.text("headSize"), now.date(), problems)
    if size is None:
        return None
    return Head(size, image_for(size), disk, read_shm("headShmGib", shm, size, problems))


def _network(values: Values, problems: Problems) -> Network | None:
    texts = values.texts("adminRanges")
    admins = tuple(one for text in texts if (one := check_admin_range(text, problems)))
    bastion = values.flag("bastion")
    subnet_id = values.text("existingSubnetId")
    subnet_text = values.text("existingSubnetRange")
    address_text = values.text("headAddress")
    own = [(key, values.text(key)) for key in ("addressSpace", "nodesRange")]
    if not texts and not bastion:
        fix = "nobody could reach the head; name a VPN's range, or set bastion to true"
        problems.add("adminRanges", [], fix)
    address = addresses.parse_address("headAddress", address_text, problems)
    if not subnet_id:
        if subnet_text:
            fix = "needs existingSubnetId, which is not set; set that or remove this"
            problems.add("existingSubnetRange", subnet_text, fix)
        space, nodes = (addresses.parse_range(key, text, problems) for key, text in own)
        if space:
            addresses.check_range("addressSpace", space, problems)
        if space is None or nodes is None:
            return None
        return addresses.plan(space, nodes, bastion, address, admins, problems)
    check_arm_id("existingSubnetId", subnet_id, "subnet", problems)
    if bastion:
        fix = "cannot be combined with an existing subnet; set it to false and name adminRanges"
        problems.add("bastion", True, fix)
    if not address_text:
        problems.add(
            "headAddress", "", "must be set with an existing subnet, to a free address in it"
        )
    subnet = addresses.parse_range("existingSubnetRange", subnet_text, problems)
    if subnet is None or address is None:
        return None
    return addresses.existing(subnet_id, subnet, address, admins, problems)
