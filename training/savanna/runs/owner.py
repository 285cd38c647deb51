"""Who writes a run: one process at a time, named in the run directory's `owner.json`.

The owner renews the file every few seconds, and deletes it at the end. On the owner's machine it is
known at once whether that process lives; elsewhere (a shared folder, a copy in storage) one looks
whether the file is still renewed. So an owner that died is succeeded, and one that lives is not.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from savanna.errors import UsageError

FILE = "owner.json"
JOB = "SAVANNA_JOB"
"""Variable with the name of the job that a command is, if it is one."""
BEAT_SECONDS = 10.0
DEAD_SECONDS = 45.0
"""Without a sign of life for so long, an owner on another machine is dead."""
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

    def renew(self) -> None:
        """Show from now on, by a thread, that this process lives. Fork before that."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_on, name="owner", daemon=True)
            self._thread.start()

    def release(self) -> None:
        """Give the run up; nobody is kept from it any longer."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            if (read(self.run) or {}).get("id") == self._content["id"]:
                (self.run / FILE).unlink()

    def _go_on(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            with contextlib.suppress(OSError):  # a full disk, or the folder has gone
                self._beat()

    def _beat(self) -> None:
        self._content["seen"] = time.time()
        temporary = self.run / f".{FILE}.tmp"
        temporary.write_text(json.dumps(self._content) + "\n")
        temporary.replace(self.run / FILE)


def own(run: Path, say: Callable[[str], None] = lambda _: None) -> Owner:
    """Make this process the owner of the run directory `run`.

    Raises `UsageError`, which names the owner, where another process writes it. Where that cannot
    be known at once, it waits for a sign of life for up to `DEAD_SECONDS`.
    """
    dead = refuse_living(lambda: read(run), name_of(run), say)
    with _alone(run):
        now = read(run)
        if now is not None and now.get("id") != dead and not _is_dead(now):
            raise _refusal(name_of(run), now)
        return Owner(run)


@contextlib.contextmanager
def owned(run: Path | None) -> Iterator[Owner | None]:
    """This process as the owner of `run` while in the block; see `own`. `None`: of none."""
    owner = own(run, _to_stderr) if run is not None else None
    try:
        yield owner
    finally:
        if owner is not None:
            owner.release()


def refuse_owned(run: Path) -> None:
    """`UsageError` where another process writes the run, as far as that can be seen at once."""
    owner = read(run)
    if owner is not None and is_owned(run):
        raise _refusal(name_of(run), owner)


def refuse_living(
    look: Callable[[], Mapping[str, Any] | None],
    run: str,
    say: Callable[[str], None] = lambda _: None,
    *,
    patience: float | None = None,
) -> str | None:
    """`UsageError` where the owner that `look` reads lives; else the id of the one that is dead.

    `run` is the run's name. On another machine, no sign of life for `patience` seconds is death.
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
    """What `owner.json` says; `None` where there is none (that can be read)."""
    try:
        content = json.loads((run / FILE).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def is_owned(run: Path) -> bool:
    """Whether a living process writes the run, as far as that can be seen at once."""
    owner = read(run)
    if owner is None or _is_dead(owner):
        return False
    if owner.get("host") == socket.gethostname():
        return True
    return time.time() - float(owner.get("seen", 0)) < _LONG_AGO


def _to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def name_of(run: Path) -> str:
    return f"{run.parent.name}/{run.name}"


def _is_dead(owner: Mapping[str, Any]) -> bool:
    """Whether the owner is known to be gone."""
    if owner.get("host") == socket.gethostname():
        pid = int(owner.get("pid", 0))
        return _born(pid) != owner.get("born")
    return time.time() - float(owner.get("seen", 0)) > _LONG_AGO


def _born(pid: int) -> str | None:
    """When a process of this machine was started; `None` where there is none of that number.

    In ticks since the machine's start, with an identifier of that start: numbers come again.
    """
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot[:8]}-{after_name[19]}" if after_name[0] != "Z" else None
    except (OSError, IndexError):
        pass
    try:
        import psutil

        return f"{psutil.Process(pid).create_time():.2f}"
    except Exception:  # no such process, or no right to look at it
        return None


@contextlib.contextmanager
def _alone(run: Path) -> Iterator[None]:
    """Of all processes that want to own a run, one is in this block, where the disk has locks."""
    folder = os.open(run, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # some network shares have none
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _described(owner: Mapping[str, Any]) -> str:
    job = f"job {owner['job']}, " if owner.get("job") else ""
    who = f"{job}process {owner.get('pid')} on {owner.get('host')}"
    return f"{who} since {owner.get('since')}"


def _refusal(run: str, owner: Mapping[str, Any]) -> UsageError:
    if owner.get("job"):
        how = f"savanna stop {owner['job']}"
    elif owner.get("host") == socket.gethostname():
        how = f"kill -TERM {owner.get('pid')}"
    else:
        how = f"kill -TERM {owner.get('pid')} on {owner.get('host')}"
    return UsageError(
        f"{run} is still being written, by {_described(owner)}. Wait until it has ended, or "
        f"stop it first ({how})."
    )
