"""`make e2e`: a small cluster without GPUs in a real subscription, used once and always destroyed.

It costs well under a dollar if nothing goes wrong. E2E=1 is required, so that it never runs by
accident. Its stack, including the foundation, has its own name and touches no other.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import yaml

from infra.facts import ROOT
from infra.operate import down as downing
from infra.operate.stack import FOUNDATION, Stack, read_stack
from infra.operate.status import scale
from infra.operate.tools import OperateError, UsageError, pulumi, say
from infra.operate.tunnel import free_port, open_tunnel
from infra.operate.up import up
from infra.operate.wait import look, wait_for_nodes

PLACES = {"savanna": ROOT, "savanna-foundation": FOUNDATION}
"""The folder with each project's settings."""
HEAD, WORKER = "Standard_D4as_v6", "Standard_D2as_v6"


def settings(
    name: str, owner: str, key: str, location: str
) -> tuple[dict[str, object], dict[str, object]]:
    """Both projects' settings: one small head, a pool of one or two spot workers, short limits."""
    cluster = {
        "name": name,
        "owner": owner,
        "sshPublicKey": key,
        "location": location,
        "dev": True,
        "headSize": HEAD,
        "headDiskGib": 64,
        "pools": f"[{{name: cpu, size: {WORKER}, spot: true, min: 1, max: 2}}]",
        "idleMinutes": 20,
        "maxHours": 2,
        "lifetimeHours": 3,
    }
    foundation = {
        "name": name,
        "owner": owner,
        "location": location,
        "budgetEmails": [owner],
        "monthlyBudget": 5,
        "keepDays": 1,
    }
    return cluster, foundation


def run(
    now: Callable[[], datetime], *, owner: str, key: Path, location: str, minutes: float
) -> None:
    """Build, use, scale, destroy; after destroying, raises the first error."""
    problems = []
    if "@" not in owner:
        problems.append(
            f"OWNER={owner}: must be an e-mail address, to which the budget's alerts go"
        )
    if not key.is_file():
        problems.append(f"--key {key}: no such file; ssh-keygen -t ed25519 creates one")
    if not location:
        problems.append("LOCATION=: name a region")
    if problems:
        raise UsageError("\n".join(problems))
    unique = secrets.token_hex(3)
    name = f"e2e-{unique}"
    files = {folder / f"Pulumi.{name}.yaml": project for project, folder in PLACES.items()}
    for (path, project), values in zip(
        files.items(),
        settings(f"savanna-{unique}", owner, key.read_text().strip(), location),
        strict=True,
    ):
        config = {f"{project}:{k}": v for k, v in values.items()}
        path.write_text(yaml.safe_dump({"config": config}))
    say(f"end-to-end test as stack {name}")
    try:
        up(name, now(), yes=True, minutes=minutes)
        stack = read_stack(name, now())
        _train(stack)
        _grow(stack, minutes)
    finally:
        # Whatever happened, including Ctrl-C: nothing may stay and cost money.
        _destroy(name, now, files)


def _train(stack: Stack) -> None:
    port = free_port()
    with open_tunnel(stack, port):
        command = [
            sys.executable,
            "-m",
            "savanna",
            "submit",
            "cartpole",
            "--workers",
            "1",
            "--stop",
            "iterations=2",
            "--wait",
        ]
        say(f"+ {' '.join(command[2:])}")
        if subprocess.run(command, cwd=ROOT, stdout=sys.stderr.fileno(), check=False).returncode:
            raise OperateError("the job failed; its output is above")


def _grow(stack: Stack, minutes: float) -> None:
    before = len(look(stack).present)
    scale(stack, "cpu", 2)
    until = time.monotonic() + 60 * minutes
    while len(look(stack).present) <= before:
        if time.monotonic() > until:
            raise OperateError(f"a second worker has not joined within {minutes:g} minutes")
        time.sleep(15)
    wait_for_nodes(stack, minutes)


def _destroy(name: str, now: Callable[[], datetime], files: dict[Path, str]) -> None:
    failed = []
    stack = read_stack(name, now())
    for step in (
        lambda: downing.down(stack, yes=True, at_once=True),
        lambda: downing.purge(stack, yes=True, name=stack.label),
        lambda: pulumi("stack", "rm", "--yes", "--stack", name, "--preserve-config"),
        lambda: pulumi(
            "stack", "rm", "--yes", "--stack", name, "--preserve-config", cwd=FOUNDATION
        ),
    ):
        try:
            step()
        except OperateError as error:
            # Continue: the next steps may still remove something that costs money.
            failed.append(str(error))
    if failed:
        raise OperateError(
            "\n".join(
                [
                    *failed,
                    f"NOT everything of stack {name} is gone; its settings are kept: "
                    f"make down purge STACK={name} YES=1 CONFIRM={stack.label}",
                ]
            )
        )
    for path in files:
        path.unlink(missing_ok=True)
    say(f"everything of stack {name} is gone")
