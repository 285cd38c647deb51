"""Creating a local cluster, changing its size, removing it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from docker.errors import NotFound
from docker.models.containers import Container

from infra.facts import facts
from infra.local import context
from infra.local.containers import (
    Containers,
    address_of,
    last_lines,
    number_of,
    read_file,
    started_at,
)
from infra.local.nodes import RayNode, Unauthorized, list_nodes
from infra.local.results import fetch_results
from infra.local.settings import LocalError, Settings

Say = Callable[[str], None]


def up(containers: Containers, settings: Settings, workers: int, timeout: float, say: Say) -> None:
    """Create what is missing, start what has stopped, wait until all have joined.

    Calling it again changes nothing. `LocalError` if a container fails, or if not all have joined
    after `timeout` seconds; containers then stay, so that their logs can be read.
    """
    token = _token(containers)
    containers.make_network()
    head = containers.head()
    if head is None:
        say(f"creating {containers.name}-head")
        head = containers.create("head", 0, settings)
    _start(containers, head, token, say)
    _set_workers(containers, settings, workers, token, say)
    context.keep_context(containers.name, settings.port)
    wait_until_joined(containers, settings.port, timeout, say)


def scale(containers: Containers, workers: int, timeout: float, say: Say) -> None:
    """Set the number of workers; the newest leave first, after draining."""
    head, settings = containers.head(), containers.settings()
    if head is None or head.status != "running" or settings is None:
        raise LocalError(f"cluster {containers.name} is not up: run `make cluster-up` first")
    _set_workers(containers, settings, workers, _token(containers), say)
    wait_until_joined(containers, settings.port, timeout, say)


def joined(containers: Containers, port: int, token: str) -> dict[str, RayNode | None]:
    """Container name -> the live Ray node in it, or `None`."""
    nodes = [node for node in list_nodes(port, token) if node.alive]
    found: dict[str, RayNode | None] = {}
    for container in containers.all():
        # A node older than its container is the previous one: Ray takes half a minute to see
        # that it is gone.
        since, address = started_at(container) - 1, address_of(container)
        own = (n for n in nodes if address and n.ip == address and n.started >= since)
        found[str(container.name)] = next(own, None)
    return found


def wait_until_joined(containers: Containers, port: int, timeout: float, say: Say) -> None:
    """Return when every container is a live node of the cluster."""
    deadline = time.monotonic() + timeout
    token = context.read_token(containers.name) or ""
    said = ""
    while True:
        try:
            there = joined(containers, port, token)
        except Unauthorized as error:
            raise LocalError(
                f"the head refuses the token in {context.token_file(containers.name)}"
            ) from error
        missing = sorted(name for name, node in there.items() if node is None)
        if not missing:
            say(f"all {len(there)} nodes have joined")
            return
        text = f"{len(there) - len(missing)} of {len(there)} joined, waiting for " + " ".join(
            missing
        )
        if text != said:
            say(text)
            said = text
        for container in containers.all():
            # Docker restarts a container a few times; after that it is a failure.
            if container.status in ("exited", "dead"):
                raise LocalError(_obituary(container))
        if time.monotonic() > deadline:
            late = [c for c in containers.all() if c.name in missing]
            details = "\n".join(f"--- {c.name} ---\n{last_lines(c)}" for c in late)
            raise LocalError(f"still missing after {timeout:g} s: {' '.join(missing)}\n{details}")
        time.sleep(0.5)


def down(containers: Containers, results: Path | None, say: Say) -> None:
    """Remove everything, after copying the results to the folder `results`, if given."""
    if not containers.left():
        say(f"there is no cluster {containers.name}")
        context.forget(containers.name)
        return
    for container in reversed(containers.all()):
        if container.status in ("running", "restarting"):
            say(f"stopping {container.name}")
            container.stop(timeout=int(facts()["STOP_TIMEOUT"]))
    head = containers.head()
    if results is not None and head is not None:
        for path in fetch_results(head, results):
            say(f"kept {path}")
    containers.remove_all()
    context.forget(containers.name)
    left = containers.left()
    if left:
        raise LocalError("not removed: " + ", ".join(left))
    say(f"cluster {containers.name} is gone, with all its containers, volumes and networks")


def token_of(containers: Containers) -> str | None:
    """The token in the cluster's containers, the head's first."""
    for container in containers.all():
        try:
            return read_file(container, facts()["TOKEN_PATH"]).strip()
        except NotFound:
            continue
    return None


def _token(containers: Containers) -> str:
    """The cluster's token, also kept in this folder: its containers', else an old or new one."""
    name = containers.name
    return context.keep_token(name, token_of(containers) or context.read_token(name))


def _start(containers: Containers, container: Container, token: str, say: Say) -> None:
    if container.status not in ("running", "restarting"):
        say(f"starting {container.name}")
        containers.start(container, token)


def _set_workers(
    containers: Containers, settings: Settings, count: int, token: str, say: Say
) -> None:
    existing = containers.workers()
    for container in sorted(existing, key=number_of)[count:]:
        say(f"draining and removing {container.name}")
        containers.stop(container)
    kept = sorted(existing, key=number_of)[:count]
    free = iter(sorted(set(range(1, count + 1)) - {number_of(c) for c in kept}))
    for container in kept:
        _start(containers, container, token, say)
    for _ in range(count - len(kept)):
        number = next(free)
        say(f"creating {containers.name}-worker-{number}")
        _start(containers, containers.create("worker", number, settings), token, say)


def _obituary(container: Container) -> str:
    state = container.attrs["State"]
    why = "ran out of memory" if state.get("OOMKilled") else f"ended with code {state['ExitCode']}"
    return f"{container.name} {why}. Its last lines:\n{last_lines(container)}"
