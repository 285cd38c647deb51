"""The region: sizes, OS images, quota."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial

from infra.config import sizes
from infra.config.os_images import os_image
from infra.config.settings import ClusterSettings
from infra.config.sizes import VmSize
from infra.operate.checks.finding import Finding, ask
from infra.operate.stack import Stack, machines
from infra.operate.tools import az
from infra.plan.quota import REGIONAL, SPOT, needs


def wanted_sizes(settings: ClusterSettings) -> dict[VmSize, bool]:
    """Size -> whether some pool wants it as spot."""
    wanted = {settings.head.size: False}
    for pool in settings.pools:
        wanted[pool.size] = wanted.get(pool.size, False) or pool.spot
    return wanted


def check_size(size: VmSize, spot: bool, location: str) -> Iterator[Finding]:
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


def check_images(settings: ClusterSettings) -> Iterator[Finding]:
    location = settings.location
    for urn, image in {
        os_image(size).urn: os_image(size) for size in wanted_sizes(settings)
    }.items():
        show = ("vm", "image", "show", "--urn", urn, "--location", location)
        answer = ask(partial(az, *show))
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


def own_use(stack: Stack) -> Counter[str]:
    """vCPUs that the cluster's own machines use of each quota, also of a half-built cluster.

    Deallocated machines count too.
    """
    used: Counter[str] = Counter()
    for one in machines(stack):
        size = sizes.load().get(one["hardwareProfile"]["vmSize"].lower())
        if size:
            spot = one.get("priority") == "Spot"
            for name in (SPOT,) if spot else (REGIONAL, size.family):
                used[name.lower()] += size.vcpus
    return used


def check_quota(stack: Stack) -> Iterator[Finding]:
    """Whether the machines fit, those that are there already included."""
    settings, own = stack.cluster, own_use(stack)
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
        free = limit - used + own[need.name.lower()]
        if free >= need.maximum:
            yield Finding("ok", f"{need.label}: {used} of {limit} in use, {need.maximum} at most")
        elif free >= need.minimum:
            yield Finding(
                "warning",
                f"{need.label}: {free} of {limit} free, {need.minimum} to "
                f"start, {need.maximum} with all workers",
                f"{raise_it} {limit - free + need.maximum}",
            )
        else:
            yield Finding(
                "problem",
                f"{need.label}: {free} of {limit} free, {need.minimum} needed to start",
                f"{raise_it} {limit - free + need.maximum}",
            )
