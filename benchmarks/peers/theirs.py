"""A peer as seen from our side: its process, its answers, its log."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers.environments import BUILD, IMPORTABLE
from benchmarks.peers.results import Look, Outcome, on_old_scale
from savanna.errors import SavannaError

TITLES = {"agilerl": "AgileRL", "xuance": "XuanCe"}

ALONE = {"OMP_NUM_THREADS": "1", "SDL_VIDEODRIVER": "dummy"}
"""torch's threads busy-wait for each other: on few cores, one thread is faster for these networks
than the default of one per core, especially beside AgileRL's worlds in separate processes."""


def check(name: str, python: Path, orders: dict[str, Any]) -> None:
    """Raise `SavannaError` if the peer does not start or its world differs from ours."""
    for _ in _answers(name, python, orders | {"train": False}):
        pass


def run(name: str, python: Path, orders: dict[str, Any]) -> Outcome:
    """Train the peer for the time in `orders`. Raises as `check` does."""
    about: dict[str, Any] = {}
    looks = []
    for answer in _answers(name, python, orders | {"train": True}):
        if "versions" in answer:
            about = answer
            continue
        looks.append(Look(**answer))
        seconds, steps = looks[-1].seconds, looks[-1].steps
        mean = on_old_scale(looks[-1].returns)[0]
        print(
            f"  {name}: {seconds:.0f} s, {steps:,} world steps, greedy return {mean:.0f}",
            file=sys.stderr,
            flush=True,
        )
    if not looks:
        raise SavannaError(f"{name} ended without a result: see {_log(name)}")
    versions = about["versions"]
    title = f"{TITLES[name]} {versions.pop(name)}"
    return Outcome(name, title, versions, about["settings"], tuple(looks))


def _log(name: str) -> Path:
    return BUILD / f"{name}.log"


def _answers(name: str, python: Path, orders: dict[str, Any]) -> Iterator[dict[str, Any]]:
    folder = BUILD / f"{name}-files"  # for files that the library writes
    folder.mkdir(parents=True, exist_ok=True)
    written, asked = folder / "answers.jsonl", folder / "orders.json"
    written.write_text("")
    asked.write_text(json.dumps(orders))
    with _log(name).open("w") as log, asked.open() as given:
        process = subprocess.Popen(
            [python, "-m", "benchmarks.peers.process", name, written],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": IMPORTABLE, **ALONE},
            stdin=given,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            for line in _lines(process, written):
                answer = json.loads(line)
                if "error" in answer:
                    raise SavannaError(f"{name}: {answer['error']} (log: {_log(name)})")
                yield answer
            if process.returncode:
                raise SavannaError(f"{name} died, exit code {process.returncode}: {_log(name)}")
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # its helpers too, which may survive it
            process.wait()


def _lines(process: subprocess.Popen[bytes], file: Path) -> Iterator[str]:
    """Lines of a file as they are written, until the process has ended.

    A pipe would stay open for as long as any helper of the process lives.
    """
    with file.open() as handle:
        line = ""
        while True:
            ended = process.poll() is not None
            while part := handle.readline():
                line += part
                if line.endswith("\n"):
                    yield line
                    line = ""
            if ended:
                return
            time.sleep(0.2)
