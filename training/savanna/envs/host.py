"""Environments are guests of the process that plays them: what they change there is put back, and
they cannot end it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from savanna.shield import SIGNALS

changes: dict[str, None] = {}
"""What environments have changed in this process, in words; it was put back."""

note: Callable[[str], None] | None = None
"""Is told of every call of an environment, before it and with an empty text after it."""


class LeftProgram(Exception):
    """An environment called `sys.exit`, which would end the whole process."""

    def __init__(self, code: object) -> None:
        super().__init__(f"sys.exit({code!r}) was called")


def told(error: BaseException) -> str:
    """An error of foreign code, in one line."""
    kind = "SystemExit" if isinstance(error, LeftProgram) else type(error).__name__
    text = " ".join(str(error).split())
    return f"{kind}: {text}" if text else kind


@contextlib.contextmanager
def hosting(call: str = "") -> Iterator[None]:
    """Run foreign code: working folder, arguments and signal handlers are put back after it.

    It sees no arguments: in Ray's processes they are Ray's. `SystemExit` becomes `LeftProgram`.
    """
    folder, arguments, handlers = _folder(), sys.argv, _handlers()
    sys.argv = sys.argv[:1]
    if note is not None:
        note(call)
    try:
        yield
    except SystemExit as error:
        raise LeftProgram(error.code) from error
    finally:
        if note is not None:
            note("")
        sys.argv = arguments
        if folder is not None and (now := _folder()) != folder:
            changes[f"changes the working folder, to {now}"] = None
            os.chdir(folder)
        for number, handler in handlers.items():
            if signal.getsignal(number) is not handler:
                changes[f"changes how {signal.Signals(number).name} is handled"] = None
                signal.signal(number, handler)


def _folder() -> str | None:
    try:
        return str(Path.cwd())
    except OSError:  # it was deleted
        return None


def _handlers() -> dict[int, Any]:
    if threading.current_thread() is not threading.main_thread():
        return {}
    found = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: handler for number, handler in found.items() if handler is not None}
