"""What is left of a cluster, with its price."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from infra.operate.stack import Stack, machines
from infra.plan.prices import PriceTable

KEYS = {
    "microsoft.network/natgateways": "nat-gateway",
    "microsoft.network/publicipaddresses": "public-ip",
    "microsoft.network/bastionhosts": "bastion/Standard",
}
"""The price keys of what has only one price here. Machines and disks have theirs by size."""
FREE = {
    "microsoft.network/virtualnetworks",
    "microsoft.network/networkinterfaces",
    "microsoft.network/networksecuritygroups",
    "microsoft.managedidentity/userassignedidentities",
    "microsoft.compute/virtualmachinescalesets",  # its machines are listed on their own
}


def priced(left: list[dict[str, Any]], stack: Stack, prices: PriceTable) -> list[str]:
    """A line for each, and one for the sum."""
    sizes = (
        {one["id"].lower(): one for one in machines(stack)}
        if any(one["type"].lower().endswith("/virtualmachines") for one in left)
        else {}
    )
    lines, sum_ = [], 0.0
    for one in left:
        hourly = _hourly(one, sizes, stack, prices)
        sum_ += hourly or 0
        cost = "price unknown" if hourly is None else f"${hourly:.3f} per hour"
        kind = one["type"].removeprefix("Microsoft.")
        lines.append(f"  {one['name']}  {kind}  {cost if hourly != 0 else 'costs nothing'}")
    return [*lines, f"  together about ${sum_:.2f} per hour, ${24 * sum_:.2f} per day"]


def _hourly(
    resource: Mapping[str, Any],
    sizes: Mapping[str, Mapping[str, Any]],
    stack: Stack,
    prices: PriceTable,
) -> float | None:
    kind = resource["type"].lower()
    if kind in FREE:
        return 0.0
    if kind == "microsoft.compute/virtualmachines":
        machine = sizes.get(resource["id"].lower(), {})
        if machine.get("powerState") == "VM deallocated":
            return 0.0
        size = (machine.get("hardwareProfile") or {}).get("vmSize", "")
        spot = machine.get("priority") == "Spot"
        keys = [*([f"spot/{size}"] if spot else []), f"vm/{size}"]
    else:
        keys = [KEYS.get(kind, "")]
    found = [prices.find(key, stack.cluster.location) for key in keys]
    return next((price.hourly for price in found if price), None)
