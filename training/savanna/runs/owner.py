"""The owner of a run: the one process that may write it, named in its `owner.json`.

The owner renews the file every few seconds and deletes it at the end. On the owner's machine, it is
known immediately whether that process is alive. Elsewhere (a shared folder, a copy in storage), it
is alive if it still renews the file. The run of a dead owner can be taken over.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from savanna.errors import GaveUp, SavannaError, UsageError, explained
from savanna.files import replace_text
from savanna.streams import say

FILE = "owner.json"
JOB = "SAVANNA_JOB"
"""Environment variable with the job's name, if the command is a job."""
BEAT_SECONDS = 10.0
DEAD_SECONDS = 45.0
"""An owner on another machine is dead after this long without a sign of life."""
_LONG_AGO = 900.0  # seconds: far more than clocks differ


class Owner:
    """This process as the owner of `run`, until `release`."""

    def __init__(self, run: Path) -> None:
        self.run = run
        self._content: dict[str, Any] = {
            "id": secrets.token_hex(8),
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "born": _born(os.getpid()),
            "since": datetime.now(UTC).isoformat(timespec="seconds"),
            "job": os.environ.get(JOB),
        }
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._beat()

    def insist(self) -> None:
        """`GaveUp` if another process has taken the run over: ours seemed to be dead."""
        insist(self.run, self._content["id"])

    def renew(self) -> None:
        """From now on, show in a thread that this process is alive. Fork before this."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_on, name="owner", daemon=True)
            self._thread.start()

    def release(self) -> None:
        """Give up the run; others may own it now."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            if (read(self.run) or {}).get("id") == self._content["id"]:
                (self.run / FILE).unlink()

    def _go_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError, SavannaError):  # a full disk, a folder that is gone
                self.insist()
                self._beat()

    def _beat(self) -> None:
        self._content["seen"] = time.time()
        replace_text(self.run / FILE, json.dumps(self._content) + "\n")


def own(run: Path) -> Owner:
    """Make this process the owner of the run directory `run`.

    Raises `UsageError`, which names the owner, if another process is writing it. If that is not
    clear immediately, waits up to `DEAD_SECONDS` for a sign of life.
    """
    dead = refuse_living(lambda: read(run), name_of(run))
    with _alone(run):
        now = read(run)
        if now is not None and now.get("id") != dead and not _is_dead(now):
            raise _refusal(name_of(run), now)
        return Owner(run)


@contextlib.contextmanager
def owned(run: Path | None) -> Iterator[Owner | None]:
    """Own `run` within the block; see `own`. `None`: own nothing."""
    try:
        owner = own(run) if run is not None else None
    except OSError as error:
        raise UsageError(
            f"cannot write {explained(error)}. To go on with this run, copy its folder to where "
            "you may write, and resume the copy."
        ) from error
    try:
        yield owner
    finally:
        if owner is not None:
            owner.release()


def insist(run: Path, owner: str | None) -> None:
    """`GaveUp` if another process than the one with the ID `owner` owns `run`."""
    now = read(run)
    if now is not None and owner is not None and now.get("id") != owner:
        raise GaveUp(f"{_described(now)} writes {name_of(run)} now")


def refuse_owned(run: Path) -> None:
    """`UsageError` if another process is writing the run, as far as is known without waiting."""
    owner = read(run)
    if owner is not None and not _is_dead(owner):
        raise _refusal(name_of(run), owner)


def refuse_living(
    look: Callable[[], Mapping[str, Any] | None], run: str, patience: float | None = None
) -> str | None:
    """`UsageError` if the owner that `look` reads is alive; else the ID of the dead one, if any.

    `run` is the run's name. An owner on another machine is dead after `patience` seconds without a
    sign of life.
    """
    first = look()
    if first is None or _is_dead(first):
        return None if first is None else first.get("id")
    if first.get("host") == socket.gethostname():
        raise _refusal(run, first)
    patience = DEAD_SECONDS if patience is None else patience
    say(f"{run} was written by {_described(first)}. Checking whether it still is ...")
    end = time.monotonic() + patience
    while time.monotonic() < end:
        time.sleep(min(1.0, patience / 10))
        now = look()
        if now is None:
            return None
        if (now.get("id"), now.get("seen")) != (first.get("id"), first.get("seen")):
            raise _refusal(run, now)
    return first.get("id")


def read(run: Path) -> dict[str, Any] | None:
    """The content of `owner.json`; `None` if it is missing or unreadable."""
    try:
        content = json.loads((run / FILE).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def name_of(run: Path) -> str:
    return f"{run.parent.name}/{run.name}"


def _is_dead(owner: Mapping[str, Any]) -> bool:
    """Whether the owner is known to be gone."""
    if owner.get("host") == socket.gethostname():
        return _born(int(owner.get("pid", 0))) != owner.get("born")
    return time.time() - float(owner.get("seen", 0)) > _LONG_AGO


def _born(pid: int) -> str | None:
    """When the process `pid` of this machine started; `None` if there is no such process.

    In ticks since boot, with the ID of the boot: PIDs are reused.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:8]}-{after_name[19]}" if after_name[0] != "Z" else None
    except OSError:
        return None


@contextlib.contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Only one of the processes that want to own a run is in this block, if the disk has locks."""
    folder = os.open(run, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network shares have none
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _described(owner: Mapping[str, Any]) -> str:
    job = f"job {owner['job']}, " if owner.get("job") else ""
    return f"{job}process {owner.get('pid')} on {owner.get('host')} since {owner.get('since')}"


def _refusal(run: str, owner: Mapping[str, Any]) -> UsageError:
    where = "" if owner.get("host") == socket.gethostname() else f" on {owner.get('host')}"
    how = f"kill -TERM {owner.get('pid')}{where}"
    if owner.get("job"):
        how = f"savanna stop {owner['job']}"
    return UsageError(
        f"{run} is still being written by {_described(owner)}. Wait until it ends, or "
        f"stop it first ({how})."
    )
