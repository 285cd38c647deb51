"""`make status` and `make workers`: what runs, what it costs, and how many machines."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from infra.operate import workers
from infra.operate.roll import behind
from infra.operate.stack import Stack, machines
from infra.operate.tools import OperateError, UsageError, say
from infra.plan.prices import PriceTable

RUNNING = "VM running"
FREE = ("VM deallocated", "VM deallocating")
"""States in which Azure does not bill a machine. "VM stopped" means switched off but billed."""


def status(stack: Stack, prices: PriceTable, now: datetime) -> dict[str, Any]:
    """Machines and the cost of the billed ones: per hour, and at most since creation."""
    sets = workers.scale_sets(stack)
    nodes = [_node(machine, stack, prices, now) for machine in machines(stack)]
    old = [
        one["name"]
        for pool, some in workers.workers(stack).items()
        for one in some
        if behind(one, sets.get(pool))
    ]
    expires = str(stack.known.get("expires") or "")
    known = [node["hourly"] for node in nodes if node["billed"] and node["hourly"]]
    return {
        "name": stack.label,
        "group": stack.group,
        "location": stack.cluster.location,
        "expires": expires,
        "expired": bool(expires) and datetime.fromisoformat(expires) < now,
        "head_runs": any(
            node["node"] == stack.known.get("head_vm") and node["state"] == RUNNING
            for node in nodes
        ),
        "nodes": nodes,
        "behind": sorted(old),
        "machines_hourly": sum(known),
        "machines_so_far": sum(node["so_far"] or 0 for node in nodes),
    }


def _node(
    machine: Mapping[str, Any], stack: Stack, prices: PriceTable, now: datetime
) -> dict[str, Any]:
    size, spot = machine["hardwareProfile"]["vmSize"], machine.get("priority") == "Spot"
    region = stack.cluster.location
    price = (prices.find(f"spot/{size}", region) if spot else None) or prices.find(
        f"vm/{size}", region
    )
    since = machine.get("timeCreated")
    hours = None
    if since:
        made = datetime.fromisoformat(since)
        hours = (now - made.astimezone(UTC)).total_seconds() / 3600
    billed = machine.get("powerState") not in FREE
    return {
        "node": machine["name"],
        "size": size,
        "spot": spot,
        "state": machine.get("powerState") or "unknown",
        "billed": billed,
        "address": machine.get("privateIps") or "",
        "hours": hours,
        "hourly": price.hourly if price else None,
        "so_far": price.hourly * hours if price and hours is not None and billed else None,
    }


def text(found: Mapping[str, Any]) -> str:
    """The status as a table."""
    head = f"{'node':26} {'size':24} {'state':16} {'address':14} {'hours':>6} {'$/h':>7} {'$':>8}"
    lines = [head]
    for node in found["nodes"]:
        size = node["size"].removeprefix("Standard_") + (" spot" if node["spot"] else "")
        lines.append(
            f"{node['node']:26} {size:24} {node['state']:16} {node['address']:14} "
            f"{_number(node['hours'], 1):>6} {_number(node['hourly'], 3):>7} "
            f"{_number(node['so_far'], 2):>8}"
        )
    lines.append(
        f"machines ${found['machines_hourly']:.2f} per hour, at most "
        f"${found['machines_so_far']:.2f} since creation (list prices, machines only)"
    )
    for node in found["nodes"]:
        if node["state"] == "VM stopped":
            lines.append(
                f"{node['node']} has switched itself off but is still billed: make up starts it; "
                f"az vm deallocate --name {node['node']} --resource-group {found['group']}"
            )
    if found["behind"]:
        lines.append(
            f"started with older settings, make up replaces them: {', '.join(found['behind'])}"
        )
    expired = "expired" if found["expired"] else "expires"
    if found["expires"]:
        lines.append(f"{found['name']} in {found['location']} {expired} {found['expires']}")
    if found["nodes"] and not found["head_runs"]:
        lines.append("the head is not running: make up starts it again, make down ends all costs")
    return "\n".join(lines)


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def scale(stack: Stack, pool_name: str, number: str | int) -> None:
    """Set the number of machines in a pool."""
    pools = {pool.name: pool for pool in stack.cluster.pools}
    if pool_name not in pools:
        raise UsageError(f"POOL={pool_name}: no such pool; the pools are {', '.join(pools)}")
    pool = pools[pool_name]
    if not str(number).lstrip("-").isdecimal():
        raise UsageError(
            f"N={number}: give the number of machines, 0 to {pool.max}: "
            f"make workers POOL={pool_name} N={pool.min or 1}"
        )
    count = int(number)
    if not 0 <= count <= pool.max:
        raise UsageError(
            f"N={count}: pool {pool_name} may have 0 to {pool.max}; for more, raise max in pools "
            f"in Pulumi.{stack.name}.yaml and run make up"
        )
    sets = stack.outputs.get("scale_sets")
    if not isinstance(sets, dict) or pool_name not in sets:
        raise OperateError(f"there is no cluster {stack.label}: make up STACK={stack.name}")
    workers.scale_to(stack, str(sets[pool_name]), count)
    leave = (
        "Azure removes spot machines at once, and their latest samples are lost"
        if pool.spot
        else "a machine that leaves drains first"
    )
    say(
        f"setting pool {pool_name} to {count} machines. A new one joins in about five minutes; "
        f"{leave}. make status shows the machines"
    )
