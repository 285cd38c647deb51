"""`savanna train` as a user enters it, for a number of seconds."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from savanna.errors import SavannaError
from savanna.runs.directory import RunDirectory

ROOT = Path(__file__).parents[1]
IMPORTABLE = f"{ROOT}{os.pathsep}{ROOT / 'training'}"


def start(
    seed: int, seconds: float, root: Path, *options: str, experiment: str = "particle"
) -> subprocess.Popen[str]:
    """Start training. Every checkpoint is kept; what usually follows training is left out.

    The command's messages go to `root`/train.log.
    """
    command = (
        sys.executable,
        "-m",
        "savanna",
        "train",
        experiment,
        "--seed",
        str(seed),
        "--stop",
        "none",
        "--stop",
        f"seconds={seconds:g}",
        "--keep",
        "100000",
        "--evaluate-episodes",
        "0",
        "--no-video",
        "--no-report",
        "--storage",
        "none",
        "--address",
        "local",
        "--runs-root",
        str(root),
        *options,
    )
    root.mkdir(parents=True, exist_ok=True)
    with (root / "train.log").open("w") as log:
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "PYTHONPATH": IMPORTABLE},
        )


def end(process: subprocess.Popen[str], root: Path) -> RunDirectory:
    """Wait for the run of `root` to end. Raises `SavannaError` with its last line if it failed."""
    try:
        printed, _ = process.communicate()
    finally:
        process.terminate()  # if the wait was interrupted
    if process.returncode:
        said = (root / "train.log").read_text().strip() or "no output"
        last = said.splitlines()[-1].removeprefix("savanna: ")
        raise SavannaError(f"savanna train failed: {last}")
    return RunDirectory(Path(printed.split()[-1]))
