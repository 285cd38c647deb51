"""Running other commands: what is run is said, what fails is explained, secrets stay in."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any

from infra.facts import ROOT

INSTALL = {
    "az": "the Azure command line: learn.microsoft.com/cli/azure/install-azure-cli",
    "pulumi": "the Pulumi command line: www.pulumi.com/docs/install",
    "ssh": "an SSH client (Debian: apt-get install openssh-client)",
    "docker": "a Docker Engine: docs.docker.com/engine/install",
}

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class OperateError(Exception):
    """Something did not work; one line for each problem."""

    exit_code = 1


class UsageError(OperateError):
    """Something was asked for that cannot be."""

    exit_code = 2


class CommandError(OperateError):
    """A command failed; `output` is what it said, `shown` what of that the user has seen."""

    def __init__(self, command: str, output: str, shown: str = "") -> None:
        self.output = output.strip()
        self.shown = shown
        last = self.output.splitlines()[-1] if self.output else "it said nothing"
        super().__init__(f"`{command}` failed: {last}")


def say(text: str) -> None:
    """A message, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def missing(names: Iterable[str]) -> list[str]:
    """One line, with where to get it, for each command that is not there."""
    return [
        f"{name} is not installed. Get {INSTALL[name]}" for name in names if not shutil.which(name)
    ]


def need(*names: str) -> None:
    """Raise `OperateError` unless all these commands are installed."""
    if lines := missing(names):
        raise OperateError("\n".join(lines))


def az(*arguments: str) -> Any:
    """What `az` answers, read from JSON; None where it answers nothing. Raises `CommandError`."""
    text = _captured(["az", *arguments, "--output", "json", "--only-show-errors"])
    return json.loads(text) if text.strip() else None


def pulumi(*arguments: str, cwd: Path = ROOT) -> str:
    """What `pulumi` prints. Raises `CommandError`."""
    return _captured(["pulumi", *arguments, "--non-interactive"], cwd)


def show(command: list[str], cwd: Path = ROOT) -> None:
    """Run a long command with its output on stderr, as it comes. Raises `CommandError`."""
    say(f"+ {shlex.join(command)}" + (f"   (in {cwd.relative_to(ROOT)})" if cwd != ROOT else ""))
    need(command[0])
    said = bytearray()
    process = relay = None
    try:
        with _interrupts_later():  # or it would go on with nobody to wait for it
            # A session of its own, so that Ctrl-C reaches it once, from here: `pulumi` takes a
            # second one as "at once", and would leave its state locked.
            process = subprocess.Popen(
                command,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_interrupts_now,
            )
            relay = Thread(target=_relay, args=(process, said), daemon=True)
            relay.start()
        code = process.wait()
    except KeyboardInterrupt:
        if process is not None and process.poll() is None:
            _end(process, command[0])
        raise
    finally:
        # Not for ever: something that it has left running may hold the pipe.
        if relay is not None:
            relay.join(10)
    if code:
        above = f"exit code {code}; what it said is above"
        raise CommandError(shlex.join(command), above, said.decode(errors="replace"))


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """SIGINT and SIGTERM that come in the block are handled at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupts_now() -> None:
    """In a process just started there: it has inherited what is blocked."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def _end(process: subprocess.Popen[bytes], name: str) -> None:
    """Interrupt it and what it started, and wait; on another interrupt, end them at once."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        say(f"waiting for `{name}` to stop in good order; Ctrl-C again to end it at once")
        process.wait()
    except KeyboardInterrupt:
        with suppress(ProcessLookupError):  # it has ended meanwhile
            os.killpg(process.pid, signal.SIGKILL)


def _relay(process: subprocess.Popen[bytes], said: bytearray) -> None:
    assert process.stdout
    while chunk := os.read(process.stdout.fileno(), 65536):
        said += chunk
        os.write(sys.stderr.fileno(), chunk)


def _captured(command: list[str], cwd: Path = ROOT) -> str:
    need(command[0])
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(shlex.join(command), done.stderr or done.stdout)
    return done.stdout
