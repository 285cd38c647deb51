"""Where samples come from: which env runners are busy, lost or back, and what to say about it."""

from __future__ import annotations

import contextlib
import re
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple, Protocol

_NODE_SIGNS = ("node was terminated", "node died", "node is dead", "NodeDied", "unreachable")
_MEMORY_SIGNS = ("OOM", "out of memory", "OutOfMemory")
_GUESSES = re.compile(r"Some common causes include.*|There are some potential root causes.*")
"""What Ray says of every process that dies: that the system may have run out of memory."""
LOOK_SECONDS = 0.5
"""Time between two checks: drivers ask a hundred times a second."""


class Say(Protocol):
    """Tells whoever watches the run; a `problem` lasts until the next message."""

    def __call__(self, text: str, *, problem: bool = False) -> None: ...


class _Loss(NamedTuple):
    why: str
    node: str  # IP address; empty if nothing ever came from there


class Supply:
    """Watches the `count` env runners of a run, which are numbered from 1.

    Says so after `patience` seconds without samples, then every `2 * patience`. All env runners are
    `gone` once each is lost and no samples have come for `limit` seconds.
    """

    def __init__(
        self,
        count: int,
        *,
        patience: float,
        limit: float,
        say: Say,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count, self._patience, self._limit = count, patience, limit
        self._say, self._clock = say, clock
        self._nodes: dict[int, str] = {}
        self._losses: dict[int, _Loss] = {}  # of those that have sent nothing since
        self._restarted = 0
        self._told = False
        self._next_look = 0.0
        self.wait()

    def wait(self) -> None:
        """Start waiting for samples now."""
        self._since = self._clock()
        self._next = self._since + self._patience

    def arrived(self, env_runner: int, node: str) -> None:
        """Samples came from this env runner."""
        loss = self._losses.pop(env_runner, None)
        if loss is not None:
            self._restarted += 1
            before = f" (before: {loss.node})" if loss.node not in ("", node) else ""
            self._say(
                f"An env runner was lost ({loss.why}) and restarted: {self._restarted} so far, "
                f"now on node {node}{before}."
            )
        self._nodes[env_runner] = node
        if self._told:
            self._told = False
            self._say(
                f"Samples are coming again, after {self._clock() - self._since:.0f} s without."
            )
        self.wait()

    def lost(self, env_runner: int, error: object = None) -> None:
        """This env runner is lost, and so is what it was sampling."""
        if env_runner not in self._losses or error is not None:
            self._losses[env_runner] = _Loss(why(error), self._nodes.get(env_runner, ""))

    def look(self, healthy: Collection[int], doing: str) -> None:
        """Say why no samples come, if it is time; `doing`: what healthy env runners are doing."""
        now = self._clock()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        for env_runner in range(1, self._count + 1):
            if env_runner not in healthy:
                self.lost(env_runner)
        if now < self._next or not self._count:
            return
        self._next, self._told = now + 2 * self._patience, True
        parts = [f"{len(healthy)} of {self._count} env runners {doing}"] if healthy else []
        away = self._count - len(healthy)
        if away:
            limit = f"; the run ends after {self._limit:g} s without any" if not healthy else ""
            parts.append(
                f"{away} of {self._count} env runners are lost and not back yet "
                f"({self._last_loss()}){limit}"
            )
        self._say(f"No samples for {now - self._since:.0f} s: {'; '.join(parts)}.", problem=True)

    def gone(self) -> str | None:
        """The cause, in words, once no env runner has been left for too long."""
        waited = self._clock() - self._since
        if not self._count or len(self._losses) < self._count or waited < self._limit:
            return None
        which = f"All {self._count} env runners were" if self._count > 1 else "The env runner was"
        return (
            f"{which} lost, and no samples came for {waited:.0f} s ({self._last_loss()}). "
            "Continue with --resume when machines are available again, or allow more time: --set "
            "env_runner_lost_timeout_s=SECONDS."
        )

    def _last_loss(self) -> str:
        loss = [*self._losses.values()][-1]
        return f"last: {loss.why}" + (f" on node {loss.node}" if loss.node else "")


def why(error: object) -> str:
    """Why an env runner was lost, in a few words, from Ray's error."""
    text = without_guesses(str(error))
    if any(sign in text for sign in _NODE_SIGNS):
        return "its machine went away"
    if any(sign in text for sign in _MEMORY_SIGNS):
        return "its machine ran out of memory"
    return "its process was killed or crashed" if error is not None else "it does not answer"


def without_guesses(text: str) -> str:
    """What Ray knows of a dead process."""
    return _GUESSES.sub("", text)


@contextlib.contextmanager
def saying_while(what: str, say: Say, patience: float) -> Iterator[None]:
    """Within the block, say that `what` is still going on: first after `patience` seconds, then
    every `2 * patience`."""
    ended = threading.Event()

    def watch() -> None:
        began, wait = time.monotonic(), patience
        while not ended.wait(wait):
            wait = 2 * patience
            say(f"{what} for {time.monotonic() - began:.0f} s.", problem=True)

    thread = threading.Thread(target=watch, name="saying", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
