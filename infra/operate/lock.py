"""The lock that a killed `pulumi` leaves on a stack: who holds it, and taking it over.

Pulumi says so only when a command wants the lock. So that is what is asked: with a command that
changes nothing, before anything is stopped, and whenever a real command meets a lock.
"""

from __future__ import annotations

import getpass
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

import psutil

from infra.operate.ask import confirm
from infra.operate.tools import CommandError, OperateError, pulumi, say

T = TypeVar("T")
LOCKED = ("the stack is currently locked by", "Another update is currently in progress")
"""Pulumi's words, with state in files or a storage account, and in its own service."""
HOLDER = re.compile(
    r"created by (?P<user>\S+)@(?P<host>\S+) \(pid (?P<pid>\d+)\) at (?P<since>\S+)"
)
LONGEST = timedelta(hours=2)
"""No `pulumi up` of ours takes so long: YES=1 takes older locks of other machines over."""


@dataclass(frozen=True)
class Holder:
    """A process that has, or had, the lock."""

    user: str
    host: str
    pid: int
    since: datetime

    def __str__(self) -> str:
        return (
            f"{self.user}@{self.host} (process {self.pid}) since {self.since:%Y-%m-%d %H:%M} UTC, "
            f"{_long(datetime.now(UTC) - self.since)} ago"
        )


def is_locked(text: str) -> bool:
    """Whether these are Pulumi's words about a lock."""
    return any(words in text for words in LOCKED)


def holders(text: str) -> list[Holder]:
    """Those that Pulumi names; its service names none."""
    return [
        Holder(
            found["user"],
            found["host"],
            int(found["pid"]),
            datetime.fromisoformat(found["since"]).astimezone(UTC),
        )
        for found in HOLDER.finditer(text)
    ]


def unlocked(name: str, program: Path, action: Callable[[], T], *, yes: bool) -> T:
    """What `action` returns; if it meets a lock that may be taken over, it is run once more."""
    try:
        return action()
    except CommandError as error:
        said = f"{error.output}\n{error.shown}"
        if not is_locked(said):
            raise
        take_over(name, program, said, yes=yes)
        return action()


def take_over(name: str, program: Path, said: str, *, yes: bool) -> None:
    """Remove the lock that Pulumi has `said` something about; `OperateError` if it is in use."""
    found = holders(said)
    for one in found:
        if _from_here(one) and runs(one.pid):
            raise OperateError(
                f"the stack {name} is locked by {one}, and that process is running on this "
                "machine: wait for it, or end it with Ctrl-C"
            )
    who = "; ".join(map(str, found)) or "another `pulumi`"
    if found and all(map(_from_here, found)):
        say(f"the stack {name} is locked by {who}. That process is gone: taking the lock over")
    else:
        young = [one for one in found if datetime.now(UTC) - one.since < LONGEST]
        if yes and (young or not found):
            raise OperateError(
                f"the stack {name} is locked by {who}, which may still be at work. Wait for it; if "
                f"it is gone: pulumi cancel --stack {name}"
                + (f" --cwd {program}" if program.name == "foundation" else "")
            )
        confirm(
            f"The stack {name} is locked by {who}. If that is still at work, taking the lock over "
            "damages Pulumi's records. Is it gone, and may its lock be removed?",
            yes=yes,
        )
        say(f"taking over the lock of {who}")
    pulumi("cancel", "--yes", "--stack", name, cwd=program)


def _from_here(holder: Holder) -> bool:
    """Whether its process would be seen here. Machines may share a name, and their users one
    state."""
    return (holder.host, holder.user) == (socket.gethostname(), getpass.getuser())


def runs(pid: int) -> bool:
    """Whether `pulumi` is running here as this process; another may have the number by now."""
    try:
        return "pulumi" in psutil.Process(pid).name()
    except psutil.NoSuchProcess:
        return False


def _long(time: timedelta) -> str:
    minutes = int(time.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"
