"""Waits until every node has joined, and names the missing ones until then."""

from __future__ import annotations

import time
from dataclasses import dataclass

from infra.local import context
from infra.local.nodes import RayNode, Unauthorized, list_nodes
from infra.operate.keys import fingerprint
from infra.operate.stack import Stack, machines
from infra.operate.tools import CommandError, OperateError, say
from infra.operate.tunnel import free_port, open_tunnel

POLL = 10.0
"""Seconds between two checks."""
TRIES = 3
"""Refusals of the SSH key after which it is not waited any longer."""


class KeyRefused(OperateError):
    """The head's SSH server answers, and refuses the key: no waiting helps."""


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
    refused = 0
    say(
        f"waiting up to {minutes:g} minutes for the head and {wanted - 1} workers; a new machine "
        "takes about five"
    )
    while True:
        try:
            joined = look(stack)
        except KeyRefused:
            # Once more: SSH may answer a moment before cloud-init has written the key.
            refused += 1
            if refused == TRIES:
                raise
            time.sleep(POLL)
            continue
        refused = 0
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
        f"{_logs(stack, joined)}"
        "The cluster exists and costs money: make status, make down"
    )


def _logs(stack: Stack, joined: Joined) -> str:
    """The commands that show why those machines have not joined."""
    command = f"az vm boot-diagnostics get-boot-log --resource-group {stack.group} --name"
    names = [line.split()[0] for line in joined.missing[:3]]
    lines = "".join(f"  {command} {name}\n" for name in names)
    return f"A node that cannot join says why in its log:\n{lines}" if lines else ""


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
        if "Permission denied" in error.output:
            raise KeyRefused(
                "the head refuses your SSH key: it accepts only sshPublicKey of "
                f"Pulumi.{stack.name}.yaml ({fingerprint(stack.cluster.ssh_public_key)}). Put that "
                "key into ~/.ssh or `ssh-add` it; make doctor says whether it is found"
            ) from error
        # SSH is refused until the head has booted.
        if "keyvault" in str(error) or "HOST IDENTIFICATION HAS CHANGED" in str(error):
            raise
        return []
    except Unauthorized as error:
        raise OperateError(
            "the head refuses the token in the vault, which was replaced after the head started. "
            "Run make down and make up"
        ) from error
