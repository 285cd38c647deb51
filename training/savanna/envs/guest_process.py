"""The process in which `savanna.envs.guest` has an environment."""

from __future__ import annotations

import ctypes
import faulthandler
import mmap
import os
import pickle
import signal
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from savanna.envs import host
from savanna.envs.families import environment_of
from savanna.envs.guest import DONE, SIZE, Call
from savanna.envs.gymnasium_env import Gymnasium
from savanna.errors import SavannaError
from savanna.shield import SIGNALS

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


def main(folder: str) -> None:
    """Do what `folder` requests, tell it there, and wait for the end."""
    with Path(folder, "state").open("r+b") as file:
        shared = mmap.mmap(file.fileno(), SIZE)
    calls = 0

    def note(call: str) -> None:
        nonlocal calls
        calls += 1
        Call(calls, call).write(shared)

    host.note = note
    faulthandler.enable()
    # Programs whose own parent ends become children of this process: they are seen, and ended.
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # the command was killed
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # lets pygame run without a screen
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    task, name, settings, options = pickle.loads(Path(folder, "request").read_bytes())
    with Path(folder, "told").open("ab") as told:

        def tell(kind: str, content: Any) -> None:
            pickle.dump((kind, content), told)
            told.flush()

        try:
            tell("answer", TASKS[task](tell, name, settings, **options))
        except SavannaError as error:
            tell("refused", str(error))
        except Exception as error:  # whatever the user's code raises
            traceback.print_exc()
            tell("refused", f"{name}: {type(error).__name__}: {' '.join(str(error).split())}")
    DONE.write(shared)
    while True:
        time.sleep(60)


def check(tell: Any, name: str, settings: Mapping[str, Any], short: bool) -> None:
    """All findings, or those of the checks that training begins with."""
    from savanna.envs.checked_env import CheckedEnv
    from savanna.envs.conformance import run_checks

    run_checks(CheckedEnv(name, settings, short=short), tell)


def create(tell: Any, name: str, settings: Mapping[str, Any]) -> None:
    """Create it and reset it."""
    env: Any = environment_of({"env": name, "env_config": settings}).make()
    env.reset(seed=0)
    env.close()


def takes(tell: Any, name: str, settings: Mapping[str, Any], keyword: str) -> str | None:
    """A hint if its constructor lacks `keyword`."""
    return Gymnasium(name, settings).hint(keyword)


def spaces(tell: Any, name: str, settings: Mapping[str, Any]) -> Any:
    """`Gymnasium.all_spaces`."""
    return Gymnasium(name, settings).all_spaces()


TASKS: dict[str, Callable[..., Any]] = {
    "check": check,
    "create": create,
    "takes": takes,
    "spaces": spaces,
}
