"""The Python API: what `import savanna` offers. Importing this imports nothing that trains."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from savanna.api.training import train
from savanna.cli.values import runs_root as root_of
from savanna.runs.directory import RunDirectory
from savanna.runs.summary import Summary, all_runs, summary

if TYPE_CHECKING:
    from savanna.evaluation.loaded import LoadedPolicy

__all__ = ["list_runs", "load", "train"]


def load(
    run: str | Path | RunDirectory = "latest", *, runs_root: Path | str | None = None
) -> LoadedPolicy:
    """The policy of a run, ready to play on the CPU, without Ray.

    Args:
        run: `latest`, an id, `experiment/id`, a run's folder, or what `train` returned: loads the
            best checkpoint. `RUN@NUMBER`, `RUN@last` or a checkpoint's folder: loads that one.
        runs_root: the folder of runs (default: SAVANNA_RUNS_ROOT, else `runs`).

    Raises:
        UsageError: there is no such run or checkpoint.
        SavannaError: the checkpoint is damaged.
    """
    from savanna.evaluation.loaded import load as load_reference

    reference = run.path if isinstance(run, RunDirectory) else run
    return load_reference(str(reference), root_of(runs_root))


def list_runs(runs_root: Path | str | None = None) -> list[Summary]:
    """Every run in `runs_root` (default: SAVANNA_RUNS_ROOT, else `runs`), newest first, as
    `savanna runs` lists them: `.name`, `.state`, `.final_return`, `.run` and more."""
    return [summary(run) for run in all_runs(root_of(runs_root))]
