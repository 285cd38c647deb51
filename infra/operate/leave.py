"""Before a head is destroyed or replaced, it lets runs write a checkpoint and uploads its logs.

What a job has written is in storage anyway; this saves what came after its last checkpoint.
"""

from __future__ import annotations

import shlex
import subprocess
import time

from infra.operate.stack import Stack, machines
from infra.operate.tools import OperateError, say
from infra.operate.tunnel import ssh_command, ssh_port

# The node's own way to stop, as a separate unit that outlives the SSH session.
STOP = (
    "sudo systemd-run --quiet --collect --unit=savanna-leave"
    " -p EnvironmentFile=/etc/savanna/node.env -p Environment=PYTHONPATH=/usr/local/lib/savanna"
    " -p RuntimeDirectory=savanna -p RuntimeDirectoryPreserve=yes -p LogsDirectory=savanna"
    " /usr/bin/python3 -m agent stop"
)
MINUTES = 5.0
POLL = 10.0
"""Seconds between two checks."""


def take_leave(stack: Stack, reason: str = "make down") -> None:
    """Let the head stop itself, and wait until it has. If it cannot, say what is lost."""
    if not head_runs(stack):
        return
    say("the head is letting runs write a checkpoint and uploading its logs; this takes minutes")
    try:
        with ssh_port(stack) as (host, port):
            command = ssh_command(
                stack, host, port, ["-o", "BatchMode=yes"], [f"{STOP} {shlex.quote(reason)}"]
            )
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        failure = done.stderr.strip().splitlines()[-1:] if done.returncode else []
        if done.returncode and not failure:
            failure = [f"exit code {done.returncode}"]
    except (OperateError, subprocess.TimeoutExpired) as error:
        failure = [str(error)]
    if failure:
        say(
            f"could not reach the head: {failure[0]}\n"
            "what jobs have done since their last checkpoint is lost"
        )
        return
    until = time.monotonic() + 60 * MINUTES
    while head_runs(stack):
        if time.monotonic() > until:
            say(f"the head has not stopped within {MINUTES:g} minutes; continuing anyway")
            return
        time.sleep(POLL)


def head_runs(stack: Stack) -> bool:
    """Whether there is a head that is running, according to Azure."""
    head = stack.known.get("head_vm")
    return any(
        one["name"] == head and one.get("powerState") == "VM running" for one in machines(stack)
    )
