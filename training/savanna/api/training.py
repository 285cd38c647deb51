"""`savanna.train`: what `savanna train` does, in a process that belongs to the caller."""

from __future__ import annotations

import contextlib
import gc
import inspect
import os
import sys
import threading
from collections.abc import Iterator
from typing import Any

from savanna.api.keywords import SEVERAL, parameters, request_of
from savanna.errors import UsageError
from savanna.runs.directory import RunDirectory

_one_at_a_time = threading.Lock()


def train(experiment: str | None = None, **options: Any) -> RunDirectory | list[RunDirectory]:
    """Train, as `savanna train EXPERIMENT` does; the results are in the run directory.

    Keywords are the command's options: `seed`, `stop={"return": 100}`, `overrides={"lr": 5e-4}` for
    `--set` (a search space is text: `"loguniform(1e-4, 1e-2)"`), `resume="latest"` and so on; see
    docs/python.md. `keep_default_stop=False` is `--stop none`. `env` may be a class that other
    processes can import. Progress goes to `sys.stderr`; everything else that is printed meanwhile
    goes to the run's log.

    Returns:
        The run; with `seeds`, `num_samples` or a search space, a list of runs ordered by seed.

    Raises:
        UsageError: the call is wrong; nothing was started.
        Interrupted: Ctrl-C, or the cell was interrupted; the run was stopped with a checkpoint. A
            `KeyboardInterrupt`, not a `SavannaError`.
        SavannaError: the run failed; the message says why.
    """
    request = request_of(experiment, options)
    if not _one_at_a_time.acquire(blocking=False):
        raise UsageError(
            "another thread of this process is training: wait for it, or train several seeds or "
            "settings in one call (seeds=, overrides=)."
        )
    try:
        with _process_as_it_was():
            from savanna.session.command import train as run

            runs = run(request)
    finally:
        _one_at_a_time.release()
    several = request.search or any(options.get(name) is not None for name in SEVERAL)
    return sorted(runs, key=lambda run: (run.config["seed"], run.id)) if several else runs[-1]


train.__signature__ = inspect.Signature(parameters())  # type: ignore[attr-defined]


@contextlib.contextmanager
def _process_as_it_was() -> Iterator[None]:
    """Restore what training changes for the whole process, except signals and streams: whoever
    changes these restores them."""
    variables, collects = dict(os.environ), gc.isenabled()
    # Ray's workers can then import what this process can, also from what a notebook added to it.
    os.environ["PYTHONPATH"] = os.pathsep.join(map(os.path.abspath, sys.path))
    try:
        yield
    finally:
        for name in os.environ.keys() - variables.keys():
            del os.environ[name]
        os.environ.update(variables)
        gc.unfreeze()  # or the caller's garbage would never be collected
        (gc.enable if collects else gc.disable)()
