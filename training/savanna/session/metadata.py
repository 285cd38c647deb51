"""Where and with what a run was made. Never environment variables: they may hold secrets."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from savanna import __version__

PACKAGES = ("ray", "torch", "gymnasium", "ale-py", "numpy")


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def collect_metadata(
    command: Sequence[str], seed: int, gpus: int, resumed_from: str | None
) -> dict[str, Any]:
    """Content of `metadata.json`."""
    import psutil

    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        versions[package] = importlib.metadata.version(package)
    return {
        "savanna": __version__,
        "command": list(command),
        "seed": seed,
        "started": now(),
        "versions": versions,
        "git": _git(),
        "hardware": {
            "platform": platform.platform(),
            "cpu": _cpu(),
            "cpus": len(os.sched_getaffinity(0)),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "gpus": _gpus() if gpus else [],
        },
        "resumed_from": resumed_from,
    }


def _git() -> dict[str, Any] | None:
    """The commit of the source tree this package runs from; `None` for an installed package."""
    folder = Path(__file__).parent

    def run(*arguments: str) -> str:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return {"sha": run("rev-parse", "HEAD"), "dirty": bool(run("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _gpus() -> list[str]:
    import torch

    return [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
