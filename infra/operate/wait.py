"""Waits until every node has joined, and names the missing ones until then."""

from __future__ import annotations

import time
from dataclasses import dataclass

from infra.local import context
from infra.local.nodes import RayNode, Unauthorized, list_nodes
from infra.operate.stack import Stack, machines
from infra.operate.tools import CommandError, OperateError, say
from infra.operate.tunnel import free_port, open_tunnel

POLL = 10.0
"""Seconds between two checks."""


@dataclass(frozen=True)
class Joined:
    """Which machines are members of the Ray cluster, by private address."""

    present: tuple[str, ...]
    missing: tuple[str, ...]  # "savanna-dev-cpu_0 10.0.0.132 (VM running)"


def wait_for_nodes(stack: Stack, minutes: float) -> None:
    """Return when head and workers have joined; `OperateError` names those that have not."""
    until = time.monotonic() + 60 * minutes
    wanted = 1 + stack.cluster.min_workers
    said: object = None
    say(
        f"waiting up to {minutes:g} minutes for the head and {wanted - 1} workers; a new machine "
        "takes about five"
    )
    while True:
        joined = look(stack)
        if len(joined.present) >= wanted and not joined.missing:
            say(f"all {len(joined.present)} nodes have joined")
            return
        if time.monotonic() > until:
            break
        if joined != said:
            names = ", ".join(joined.missing) or "machines that Azure has not created yet"
            say(f"  {len(joined.present)} of {wanted} have joined; missing: {names}")
            said = joined
        time.sleep(POLL)
    raise OperateError(
        f"after {minutes:g} minutes {len(joined.present)} of {wanted} nodes have joined; missing: "
        f"{', '.join(joined.missing) or 'machines that Azure has not created'}\n"
        f"A node that cannot join says why in its log: az vm boot-diagnostics get-boot-log "
        f"--resource-group {stack.group} --name NAME\n"
        "The cluster exists and costs money: make status, make down"
    )


def look(stack: Stack) -> Joined:
    """Ask Azure for the machines and Ray for its members, once."""
    there = machines(stack)
    head = stack.output("head_vm")
    running = any(m["name"] == head and m.get("powerState") == "VM running" for m in there)
    alive = {node.ip for node in ray_nodes(stack)} if running else set()
    named = {
        m["name"]: (m.get("privateIps") or "", m.get("powerState") or "unknown") for m in there
    }
    return Joined(
        tuple(sorted(alive)),
        tuple(
            f"{name} {ip} ({state})".replace("  ", " ")
            for name, (ip, state) in sorted(named.items())
            if ip not in alive
        ),
    )


def ray_nodes(stack: Stack) -> list[RayNode]:
    """The members of the Ray cluster; none while the head cannot be reached."""
    port = free_port()
    try:
        with open_tunnel(stack, port, remember=False):
            token = context.read_token(stack.label) or ""
            return [node for node in list_nodes(port, token) if node.alive]
    except CommandError as error:
        # SSH is refused until the head has booted.
        if "keyvault" in str(error) or "HOST IDENTIFICATION HAS CHANGED" in str(error):
            raise
        return []
    except Unauthorized as error:
        raise OperateError(
            "the head refuses the token in the vault, which was replaced after the head started. "
            "Run make down and make up"
        ) from error
