"""An environment as the guest of the process that plays it."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

import gymnasium as gym

from savanna.envs import host
from savanna.envs.host import LeftProgram, hosting, told
from savanna.streams import say

CLOSE_SECONDS = 10.0
"""How long `close` may take."""

LATE = signal.SIGVTALRM
"""The signal that ends it; `savanna.session.stopping` has the use of SIGALRM."""


AGAIN_SECONDS = 0.5
"""How long other copies may take, once one took too long."""

_hung: set[str] = set()
"""Environments of which a copy took too long."""
_said: set[str] = set()
"""Warnings that have been given: every copy of an environment would repeat them."""


class Hosted(gym.Wrapper[Any, Any, Any, Any]):
    """The environment `name` as a guest.

    Its `info` is dropped: nothing uses it, and vector environments would collect it, for which
    Gymnasium's rules are narrower than for `info` itself.
    """

    def __init__(self, env: gym.Env[Any, Any], name: str) -> None:
        super().__init__(env)
        self.name = name
        self.close_problem: str | None = None
        self._steps = self._resets = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        self._resets += 1
        with hosting(f"reset {self._resets}"):
            result: Any = self.env.reset(seed=seed, options=options)
        return (result[0], {}) if _has(result, 2) else result

    def step(self, action: Any) -> Any:
        self._steps += 1
        if host.note is not None:
            host.note(f"step {self._steps}")
        try:
            result: Any = self.env.step(action)
        except SystemExit as error:
            raise LeftProgram(error.code) from error
        finally:
            if host.note is not None:
                host.note("")
        return (*result[:4], {}) if _has(result, 5) else result

    def render(self) -> Any:
        with hosting("render()"):
            return self.env.render()

    def close(self) -> None:
        """Never raises: the work is done. A failure is a warning."""
        limit = AGAIN_SECONDS if self.name in _hung else CLOSE_SECONDS
        try:
            with hosting("close()"), _limited(limit):
                self.env.close()
        except Exception as error:  # whatever the user's code raises
            if isinstance(error, _Late):
                _hung.add(self.name)
                self.close_problem = f"did not return within {CLOSE_SECONDS:g} s"
            else:
                self.close_problem = f"raised {told(error)}"
            warning = f"warning: {self.name}: close() {self.close_problem}"
            if warning not in _said:
                _said.add(warning)
                say(warning)


class _Late(Exception):
    """A call took too long."""


@contextlib.contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """`_Late` after `seconds`, if this is the main thread and not within C code."""
    main = threading.main_thread()
    if threading.current_thread() is not main:
        yield
        return

    def late(*_: object) -> None:
        raise _Late

    # No other thread: windows and their like may only be closed in the one that opened them.
    before = signal.signal(LATE, late)
    timer = threading.Timer(seconds, signal.pthread_kill, (main.ident, LATE))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        # Its default would end the process, should the timer fire just now.
        signal.signal(LATE, before if callable(before) else signal.SIG_IGN)


def _has(result: Any, length: int) -> bool:
    return isinstance(result, tuple) and len(result) == length
