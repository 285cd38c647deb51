"""Access: SSH over Bastion or an admin range, and through it the dashboard and the Jobs API.

Ray listens only on the head's own 127.0.0.1, so that is what is forwarded. The token goes from the
key vault into a file that only this user may read.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from infra.facts import facts, number
from infra.local import context
from infra.operate.keys import private_key
from infra.operate.stack import Stack
from infra.operate.tools import (
    CommandError,
    OperateError,
    UsageError,
    az,
    need,
    say,
    subscription_of,
)

ADMIN = "savanna"
WAIT = 60.0
"""Seconds for a tunnel to open; Bastion takes about ten."""
REOPEN = (1.0, 5.0, 15.0, 30.0, 60.0, 60.0, 60.0, 60.0)
"""Seconds before each attempt in a row to open a tunnel that has dropped."""
STEADY = 60.0
"""Seconds after which a tunnel counts as open again."""
POLL = 0.2
"""Seconds between two checks whether it is open."""
SSH_OPTIONS = (
    "-o",
    "ServerAliveInterval=30",
    "-o",
    "ConnectTimeout=20",
    "-o",
    "ExitOnForwardFailure=yes",
    "-o",
    "StrictHostKeyChecking=accept-new",
)


def fetch_token(stack: Stack) -> Path:
    """Put the Ray token into `.savanna/LABEL.token`, mode 0600, and return the file."""
    uri = stack.output("ray_token_uri")
    try:
        token = az("keyvault", "secret", "show", "--id", uri, "--query", "value")
    except CommandError as error:
        if "Forbidden" not in error.output:
            raise
        vault = stack.foundation_outputs.get("vault_id", "THE VAULT'S ID")
        raise OperateError(
            "you may not read the cluster's token. An owner of the vault can allow it: "
            "az role assignment create --role 'Key Vault Secrets User' --assignee YOU "
            f"--scope {vault}"
        ) from error
    context.keep_token(stack.label, str(token))
    return context.token_file(stack.label)


@contextmanager
def ssh_port(stack: Stack) -> Iterator[tuple[str, int]]:
    """Host and port where the head's SSH server answers, while the context lasts."""
    need("ssh")
    bastion = stack.known.get("bastion")
    if not bastion:
        yield stack.output("head_address"), 22
        return
    port = free_port()
    command = [
        "az",
        "network",
        "bastion",
        "tunnel",
        "--name",
        str(bastion),
        "--resource-group",
        stack.output("resource_group"),
        "--target-resource-id",
        stack.output("head_vm_id"),
        "--resource-port",
        "22",
        "--port",
        str(port),
        "--only-show-errors",
        *subscription_of(["network"]),
    ]
    with _running(command, port):
        yield "127.0.0.1", port


def ssh_command(
    stack: Stack, host: str, port: int, options: Sequence[str], command: Sequence[str] = ()
) -> list[str]:
    """The SSH client's command line.

    Every machine that was ever a head has its own name among the known hosts: they share an
    address, and SSH would refuse the second one's key.
    """
    alias = f"HostKeyAlias={stack.label}-head-{stack.output('head_unique_id')}"
    known = f"UserKnownHostsFile={context.FOLDER.resolve() / 'known_hosts'}"
    names: tuple[str, ...] = ("-o", alias, "-o", known)
    # Only this key: a server may refuse after five others from the agent.
    private = private_key(stack.cluster.ssh_public_key)
    if private:
        names = (*names, "-o", "IdentitiesOnly=yes", "-i", str(private))
    return ["ssh", *SSH_OPTIONS, *names, "-p", str(port), *options, f"{ADMIN}@{host}", *command]


@contextmanager
def open_tunnel(stack: Stack, port: int, *, remember: bool = True) -> Iterator[None]:
    """The head's dashboard and Jobs API on 127.0.0.1:`port` while the context lasts.

    `remember`: write `.savanna/cluster.json`, where `savanna submit` looks.
    """
    check_free(port)
    fetch_token(stack)
    with ssh_port(stack) as (host, ssh):
        there = f"{port}:127.0.0.1:{number('DASHBOARD_PORT')}"
        command = ssh_command(stack, host, ssh, ["-o", "BatchMode=yes", "-N", "-L", there])
        with _running(command, port):
            if not remember:
                yield
                return
            context.keep_context(stack.label, port)
            try:
                yield
            finally:
                context.forget(stack.label)


def hold(stack: Stack, port: int) -> None:
    """`make tunnel`: keep it open until Ctrl-C; one that drops is opened again on the same port."""
    with open_tunnel(stack, port):
        say(
            f"{stack.label} is at http://127.0.0.1:{port} as long as this runs (Ctrl-C ends it).\n"
            f"  The dashboard asks for the token in {context.token_file(stack.label)}\n"
            "  In another terminal: savanna submit pong --wait"
        )
        _while_open(port)
    failures = 0
    while failures < len(REOPEN):
        say("the tunnel dropped; jobs are still running. Opening it again")
        time.sleep(REOPEN[failures])
        failures += 1
        try:
            with open_tunnel(stack, port):
                since = time.monotonic()
                say(f"{stack.label} is at http://127.0.0.1:{port} again")
                _while_open(port)
                if time.monotonic() - since > STEADY:
                    failures = 0
        except UsageError:
            raise
        except OperateError as error:
            say(str(error))
    raise OperateError(
        f"the tunnel broke {failures} times in a row; jobs are still running. make status shows "
        "whether the head is, make tunnel opens it again"
    )


def _while_open(port: int) -> None:
    while _answers(port):
        time.sleep(5)


def shell(stack: Stack, arguments: list[str]) -> int:
    """`make ssh`: a shell on the head, or one command there."""
    with ssh_port(stack) as (host, port):
        return subprocess.run(ssh_command(stack, host, port, [], arguments), check=False).returncode


def check_free(port: int) -> None:
    """Raise `UsageError` if something already listens."""
    if _answers(port):
        raise UsageError(
            f"port {port} of this machine is in use; a cluster of containers uses "
            f"{facts()['DASHBOARD_PORT']}. Use another: make tunnel ARGS='--port 18266'"
        )


def free_port() -> int:
    """A free port, chosen by the system."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    with socket.socket() as client:
        client.settimeout(2)
        return client.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    """`command` in the background, from when it listens on `port` until the context ends."""
    need(command[0])
    # Its own session: Ctrl-C reaches only us, and we then end it.
    said = tempfile.TemporaryFile("w+")  # noqa: SIM115 (an unread pipe would fill up)
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
    )
    try:
        until = time.monotonic() + WAIT
        while not _answers(port):
            if process.poll() is not None:
                said.seek(0)
                raise CommandError(" ".join(command[:4]), said.read())
            if time.monotonic() > until:
                raise OperateError(f"{' '.join(command[:4])} has not opened within {WAIT:.0f} s")
            time.sleep(POLL)
        yield
    finally:
        # The group: `az` is a script that starts another process.
        for end in (signal.SIGTERM, signal.SIGKILL):
            with suppress(ProcessLookupError):
                os.killpg(process.pid, end)
            with suppress(subprocess.TimeoutExpired):
                process.wait(10)
        said.close()
