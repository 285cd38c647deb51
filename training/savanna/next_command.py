"""Commands as we print them, ready to paste into the same shell."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from savanna.runs.directory import RunDirectory

DEFAULT_ROOT = Path("runs")
"""The folder of runs without `--runs-root`."""


def program() -> str:
    """`savanna` if the shell finds this one under that name, else what starts it."""
    script = Path(sys.executable).with_name("savanna")
    found = shutil.which("savanna")
    if found is not None and script.exists() and script.samefile(found):
        return "savanna"
    if script.exists():
        return shlex.quote(str(script))
    return f"{shlex.quote(sys.executable)} -m savanna"


def next_command(*words: str, run: RunDirectory | None = None, root: Path = DEFAULT_ROOT) -> str:
    """`savanna WORDS`, for `run` if one is given; runs are in `root`.

    Names the folder even if SAVANNA_RUNS_ROOT is set: it may not be when the command is pasted.
    """
    given = list(words)
    if run is not None and run.path.parent.parent != root.resolve():
        given.append(str(run.path))
    else:
        given += [] if run is None else [f"{run.path.parent.name}/{run.id}"]
        given += [] if root == DEFAULT_ROOT else ["--runs-root", str(root)]
    return f"{program()} {shlex.join(given)}"


def resume_commands(runs: Iterable[RunDirectory], root: Path) -> list[str]:
    """A command for each of the `runs` that has a checkpoint to resume from."""
    return [
        next_command("train", "--resume", run=run, root=root) for run in runs if run.checkpoints()
    ]
