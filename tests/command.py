"""Commands in subprocesses, for tests: bounded in time, and killed with all their children.

Ray and containers have processes that outlive the one that started them, and hold its pipes. So
every command has its own session, which is killed as a whole when its time is up, when the test
fails, or when pytest itself is interrupted. After a command that ends on its own nothing is cleaned
up, so that a test can see processes that it wrongly leaves behind.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
import warm

ROOT = Path(__file__).parents[1]
IMPORTABLE = f"{ROOT}{os.pathsep}{ROOT / 'training'}"
"""The import path of this checkout's packages."""
TAIL = 6000
"""Characters of a command's output that a failure shows."""


def run(
    command, *, timeout: float = 120, check: bool = False, input: str | None = None, **options
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; its output as text.

    The test fails after `timeout` seconds, and with `check` at an exit code other than 0; pytest
    shows what the command said.
    """
    pipes = {name: subprocess.PIPE for name in ("stdout", "stderr") if name not in options}
    options["stdin"] = subprocess.DEVNULL if input is None else subprocess.PIPE
    with started(command, **pipes, **options) as process:
        out, err = finish(process, timeout, input)
    if check and process.returncode:
        said = f"{(out or '')[-TAIL:]}\n{(err or '')[-TAIL:]}"
        pytest.fail(f"exit code {process.returncode}: {shown(process.args)}\n{said}")
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@contextmanager
def started(command, **options) -> Iterator[subprocess.Popen]:
    """A running command; unless it has ended on its own, it is killed with all its children."""
    warm.starts_a_process()
    given = {"text": True, "start_new_session": True, **options}
    process = subprocess.Popen(list(map(str, command)), **given)
    try:
        yield process
    except BaseException:
        print(kill(process), file=sys.stderr)  # pytest shows it with the failure
        raise
    finally:
        if process.poll() is None:
            kill(process)
        for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
            with suppress(OSError):
                pipe.close()


def finish(process: subprocess.Popen, timeout: float, input: str | None = None) -> tuple[str, str]:
    """What a started command printed on stdout and stderr until it ended on its own."""
    try:
        return process.communicate(input, timeout)
    except subprocess.TimeoutExpired:
        pytest.fail(f"not done after {timeout:g} s: {shown(process.args)}")


def kill(process: subprocess.Popen) -> str:
    """Kill a command with all its children; returns the unread end of its output."""
    children: list[psutil.Process] = []
    if process.poll() is None:
        with suppress(psutil.NoSuchProcess):  # Ray puts some into separate sessions
            children = psutil.Process(process.pid).children(recursive=True)
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(30)
    try:
        parts = process.communicate(timeout=5)
    except subprocess.TimeoutExpired as left:  # a process that hides from us has its pipe
        parts = (left.stdout, left.stderr)
    except ValueError:  # they are closed
        parts = ()
    texts = [p.decode(errors="replace") if isinstance(p, bytes) else p for p in parts if p]
    return "\n".join(text[-TAIL:] for text in texts)


def shown(command) -> str:
    """A command as named in a failure."""
    text = " ".join(map(str, command))
    return text if len(text) < 300 else f"{text[:300]} ..."


def savanna(
    *arguments, cwd: Path, timeout: float = 240, fresh: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run the `savanna` command to its end as a user would; returns the completed process.

    Unless it has to be a `fresh` process, it need not import anything and uses a Ray that already
    runs (see `warm.py`).
    """
    if fresh:
        command = savanna_command(*arguments)
        return run(command, cwd=cwd, timeout=timeout, env=ours(**environment))
    words = [*map(str, arguments)]
    return warm.call(words, cwd=cwd, timeout=timeout, environment=ours(**environment))


def python(
    script, *, cwd: Path, timeout: float = 240, fresh: bool = False, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, as `savanna` runs a command."""
    if fresh:
        command = [sys.executable, script]
        return run(command, cwd=cwd, timeout=timeout, env=ours(**environment))
    given = {"cwd": cwd, "timeout": timeout, "environment": ours(**environment)}
    return warm.call([str(script)], script=True, **given)


def savanna_command(*arguments) -> list[str]:
    return [sys.executable, "-m", "savanna", *map(str, arguments)]


def ours(**environment: str) -> dict[str, str]:
    """The environment of a process that imports this checkout."""
    return {**os.environ, "PYTHONPATH": IMPORTABLE, **environment}
