"""The `savanna` command without its start: in a fork of a process that has imported everything, on
a Ray that already runs.

What a command prints and does is the same. Tests of how it starts, is signalled or killed use a
separate process: `command.savanna(..., fresh=True)` and `command.savanna_command`.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import runpy
import sys
import traceback
from collections.abc import Callable
from functools import cache
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess
from tempfile import TemporaryDirectory

import psutil
import pytest

TESTS = Path(__file__).parent

quick = False
"""Whether tests that start a process are skipped: `--quick`."""


def starts_a_process() -> None:
    """Say so before it does."""
    if quick:
        pytest.skip("starts a process")


@cache
def _server() -> multiprocessing.context.ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["preloaded"])
    with pytest.MonkeyPatch.context() as patch:
        # It accepts no other path for what it preloads, and ignores silently what it does not find.
        patch.setenv(
            "PYTHONPATH",
            os.pathsep.join(map(str, (TESTS.parent, TESTS.parent / "training", TESTS))),
        )
        forkserver.ensure_running()
    return context


@cache
def _ray() -> str:
    """The address of a Ray with two CPUs; it ends with this process."""
    ours, theirs = _server().Pipe()
    process = _server().Process(target=_run_ray, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    assert ours.poll(120), "Ray did not start"
    _kept.append(ours)
    return str(ours.recv())


@cache
def _tracking() -> str:
    """MLflow's database for all runs: creating one takes seconds."""
    folder = TemporaryDirectory()
    _kept.append(folder)
    uri = f"sqlite:///{folder.name}/mlflow.db"
    process = _server().Process(target=_make_database, args=(uri,))
    process.start()
    process.join()
    return uri


def _make_database(uri: str) -> None:
    from savanna.recording.mlflow_store import open_store

    open_store(uri).search_experiments()


_kept: list[object] = []


def _run_ray(connection: multiprocessing.connection.Connection) -> None:
    os.setsid()
    import ray

    from savanna.forks.template import forked_workers

    with forked_workers():
        ray.init(
            num_cpus=2,
            include_dashboard=False,
            log_to_driver=False,
            object_store_memory=512 * 2**20,
        )
        connection.send(ray.get_runtime_context().gcs_address)
        with contextlib.suppress(EOFError):
            connection.recv()  # until the other end is closed
        ray.shutdown()


def call(
    words: list[str],
    *,
    cwd: Path,
    timeout: float,
    environment: dict[str, str],
    script: bool = False,
) -> CompletedProcess[str]:
    """Run `savanna WORDS` to its end, or `python WORDS` where it is a `script`."""
    starts_a_process()
    if script or (words[:1] == ["train"] and not {"--address", "--dry-run"} & {*words}):
        environment = {
            "RAY_ADDRESS": _ray(),
            "RAY_AUTH_MODE": "token",
            "MLFLOW_TRACKING_URI": _tracking(),
        } | environment
    with TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("stdout", "stderr")]
        main = _run_script if script else _run_command
        process = _server().Process(target=_main, args=(main, words, str(cwd), environment, files))
        process.start()
        try:
            process.join(timeout)
            ended = process.exitcode is not None
        finally:
            if process.exitcode is None:
                _kill(process)
        out, err = (f.read_text(errors="replace") if f.exists() else "" for f in files)
    if not ended:
        pytest.fail(f"not done after {timeout:g} s: {' '.join(words)}\n{err[-6000:]}")
    return CompletedProcess(["savanna", *words], process.exitcode, out, err)


def _kill(process: multiprocessing.process.BaseProcess) -> None:
    for each in [*psutil.Process(process.pid).children(recursive=True), process]:
        each.kill()
    process.join()


def _run_command(words: list[str]) -> int:
    from savanna.cli import main

    sys.argv = ["savanna", *words]
    return main(words)


def _run_script(words: list[str]) -> int:
    sys.argv = words
    runpy.run_path(words[0], run_name="__main__")
    return 0


def _main(
    main: Callable[[list[str]], int],
    words: list[str],
    cwd: str,
    environment: dict[str, str],
    files: list[Path],
) -> None:
    """The new process: as if `python -m savanna WORDS` had been started, or a script."""
    os.setsid()
    for number, path in enumerate(files, start=1):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if "PYTHONSAFEPATH" not in environment:
        sys.path.insert(0, cwd)
    code = 1
    try:
        assert "preloaded" in sys.modules
        from ray._raylet import Config

        Config.initialize("")  # reads the environment again
        code = main(words)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        sys.exit(code)
