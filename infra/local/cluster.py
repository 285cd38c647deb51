"""Bringing a local cluster up, changing its size, taking it down."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from docker.errors import NotFound
from docker.models.containers import Container

from infra.facts import facts
from infra.local import context
from infra.local.containers import (
    SPEC,
    Containers,
    address_of,
    last_lines,
    number_of,
    read_file,
)
from infra.local.nodes import RayNode, Unauthorized, list_nodes
from infra.local.results import fetch_results
from infra.local.settings import LocalError, Settings

Say = Callable[[str], None]


def up(containers: Containers, settings: Settings, workers: int, timeout: float, say: Say) -> None:
    """Create what is missing, start what stands still, wait until all have joined.

    Calling it again changes nothing. `LocalError` if the cluster exists with other settings, a
    container fails, or not all have joined after `timeout` seconds; what was started stays, so
    that its logs can be read.
    """
    _check_settings(containers, settings)
    token = _token(containers)
    containers.make_network()
    head = containers.head()
    if head is None:
        say(f"creating {containers.name}-head")
        head = containers.create("head", 0, settings, token)
    _start(containers, head, say)
    _set_workers(containers, settings, workers, token, say)
    context.keep_context(containers.name, settings.port)
    wait_until_joined(containers, settings.port, timeout, say)


def scale(
    containers: Containers, settings: Settings, workers: int, timeout: float, say: Say
) -> None:
    """Make it `workers` workers: the newest leave first, after draining."""
    _check_settings(containers, settings)
    head = containers.head()
    if head is None or head.status != "running":
        raise LocalError(f"cluster {containers.name} is not up: run `make cluster-up` first")
    _set_workers(containers, settings, workers, _token(containers), say)
    wait_until_joined(containers, settings.port, timeout, say)


def joined(containers: Containers, port: int, token: str) -> dict[str, RayNode | None]:
    """Container name -> the living Ray node in it, or `None`."""
    nodes = {node.ip: node for node in list_nodes(port, token) if node.alive}
    return {str(c.name): nodes.get(address_of(c) or "-") for c in containers.all()}


def wait_until_joined(containers: Containers, port: int, timeout: float, say: Say) -> None:
    """Return when every container is a living node of the cluster."""
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
            # One that ended is started again a few times; then it is a failure.
            if container.status in ("exited", "dead"):
                raise LocalError(_obituary(container))
        if time.monotonic() > deadline:
            late = [c for c in containers.all() if c.name in missing]
            details = "\n".join(f"--- {c.name} ---\n{last_lines(c)}" for c in late)
            raise LocalError(f"after {timeout:g} s still missing: {' '.join(missing)}\n{details}")
        time.sleep(0.5)


def down(containers: Containers, results: Path | None, say: Say) -> None:
    """Take everything away, after bringing the results to the folder `results`, if one is given."""
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
        fetched = fetch_results(head, results)
        for path in fetched:
            say(f"kept {path}")
    containers.remove_all()
    context.forget(containers.name)
    left = containers.left()
    if left:
        raise LocalError("still there: " + ", ".join(left))
    say(f"cluster {containers.name} is gone: no container, volume or network of it is left")


def _check_settings(containers: Containers, settings: Settings) -> None:
    others = [c for c in containers.all() if c.labels.get(SPEC) != settings.digest]
    if others:
        raise LocalError(
            f"cluster {containers.name} exists with other settings (image, sizes or port) than "
            "asked for. Use the same, or run `make cluster-down` first."
        )


def _token(containers: Containers) -> str:
    """The cluster's token: from this folder, else from its head, else a new one."""
    head = containers.head()
    if head is not None:
        try:
            return context.keep_token(
                containers.name, read_file(head, facts()["TOKEN_PATH"]).strip()
            )
        except NotFound:
            pass
    return context.read_token(containers.name) or context.keep_token(containers.name)


def _start(containers: Containers, container: Container, say: Say) -> None:
    if container.status not in ("running", "restarting"):
        say(f"starting {container.name}")
        containers.start(container)


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
        _start(containers, container, say)
    for _ in range(count - len(kept)):
        number = next(free)
        say(f"creating {containers.name}-worker-{number}")
        _start(containers, containers.create("worker", number, settings, token), say)


def _obituary(container: Container) -> str:
    state = container.attrs["State"]
    why = "ran out of memory" if state.get("OOMKilled") else f"ended with code {state['ExitCode']}"
    return f"{container.name} {why}. Its last lines:\n{last_lines(container)}"
