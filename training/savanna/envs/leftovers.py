"""What an environment leaves behind in its process once it is closed."""

from __future__ import annotations

import random
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

import gymnasium as gym
import numpy as np
import psutil

GRACE_SECONDS = 2.0
"""How long processes and threads may take to end after `close`."""
_PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Helpers that Python keeps until the program ends."""


class Running(NamedTuple):
    """Processes and threads that this process has started."""

    processes: dict[int, str]  # their commands
    threads: dict[int, str]  # their names

    @classmethod
    def now(cls) -> Self:
        processes, this = {}, psutil.Process()
        for child in this.children(recursive=True):
            try:
                words = child.cmdline()
                fork = words == this.cmdline()
                command = "a fork of this program" if fork else " ".join(words) or child.name()
                alive = child.status() != psutil.STATUS_ZOMBIE
            except psutil.NoSuchProcess:
                continue
            if alive and not any(own in command for own in _PYTHONS_OWN):
                processes[child.pid] = command
        threads = {
            thread.ident or 0: re.sub(r"-\d+", "", thread.name) for thread in threading.enumerate()
        }
        return cls(processes, threads)

    def since(self, before: Self) -> list[str]:
        """What was not running before, in words."""
        kinds = (
            ("process", self.processes, before.processes),
            ("thread", self.threads, before.threads),
        )
        return [
            f"leaves a {kind} running: {name[:80]}"
            for kind, now, then in kinds
            for name in dict.fromkeys(name for key, name in now.items() if key not in then)
        ]


def left_running(before: Running) -> list[str]:
    """What still runs after a moment, in words."""
    end = time.monotonic() + GRACE_SECONDS
    while left := Running.now().since(before):
        if time.monotonic() >= end:
            return left
        time.sleep(0.05)
    return []


def reseeded(make: Callable[[], gym.Env[Any, Any]]) -> list[str]:
    """Which global generators creating and resetting an environment seeds, in words: they then go
    on equally, wherever they were before."""
    kept = {name: state() for name, (state, _, _) in _generators().items()}
    after: list[dict[str, Any]] = []
    try:
        for seed in (1, 2):
            for _, seeding, _ in _generators().values():
                seeding(seed)
            made = make()
            made.reset(seed=3)
            after.append({name: state() for name, (state, _, _) in _generators().items()})
    finally:
        for name, (_, _, restore) in _generators().items():
            if name in kept:
                restore(kept[name])
    first, second = after
    same = [name for name, state in first.items() if _text(state) == _text(second.get(name))]
    return [f"seeds {name}'s global generator" for name in same]


def _generators() -> dict[str, tuple[Callable[[], Any], Callable[[int], Any], Callable[..., Any]]]:
    """Of each library in use: how to get, seed and set its state."""
    found: dict[str, Any] = {
        "Python": (random.getstate, random.seed, random.setstate),
        "NumPy": (np.random.get_state, np.random.seed, np.random.set_state),
    }
    torch = sys.modules.get("torch")
    if torch is not None:
        found["PyTorch"] = (torch.get_rng_state, torch.manual_seed, torch.set_rng_state)
    return found


def _text(state: Any) -> Any:
    if isinstance(state, tuple):
        return tuple(map(_text, state))
    return (
        state.tobytes()
        if isinstance(state, np.ndarray)
        else getattr(state, "tolist", lambda: state)()
    )
