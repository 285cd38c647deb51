"""Runs other commands: shows what runs, explains failures, keeps secrets in."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

SUBSCRIPTION = ""
"""What every `az` command uses; empty: what `az account set` chose."""
ANY_SUBSCRIPTION = ("version", "extension")
"""Commands that have no subscription."""
_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


class OperateError(Exception):
    """Something did not work; one line per problem."""

    exit_code = 1


class UsageError(OperateError):
    """The request itself is wrong."""

    exit_code = 2


class CommandError(OperateError):
    """A command failed; `output` is what it printed, `shown` what the user has already seen."""

    def __init__(self, command: str, output: str, shown: str = "") -> None:
        self.command = command
        self.output = output.strip()
        self.shown = shown
        last = self.output.splitlines()[-1] if self.output else "no output"
        super().__init__(f"`{command}` failed: {last}")


class LoginError(CommandError):
    """Azure does not, or no longer, know who is asking. `why`: in Azure's words."""

    def __init__(self, error: CommandError) -> None:
        super().__init__(error.command, error.output, error.shown)
        codes = re.search(r"AADSTS\d+[^.]*", error.output)
        self.why = codes[0] if codes else error.output.splitlines()[0].removeprefix("ERROR: ")
        self.args = (f"not logged in to Azure ({self.why}): run az login, then this again",)


NO_LOGIN = ("az login", "AADSTS", "ExpiredAuthenticationToken", "InvalidAuthenticationToken")
"""In what `az` says if a login is missing, has expired, or wants a second factor again."""


def say(text: str) -> None:
    """A message, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def missing(names: Iterable[str]) -> list[str]:
    """One line for each missing command, with where to get it."""
    return [
        f"{name} is not installed. Get {INSTALL[name]}" for name in names if not shutil.which(name)
    ]


def need(*names: str) -> None:
    """Raise `OperateError` unless all these commands are installed."""
    if lines := missing(names):
        raise OperateError("\n".join(lines))


def az(*arguments: str) -> Any:
    """What `az` answers, parsed from JSON; None if it prints nothing. Raises `CommandError`, and
    `LoginError` in the one place that says "az login"."""
    words = ["az", *arguments, *subscription_of(arguments), "--output", "json"]
    try:
        text = _captured([*words, "--only-show-errors"])
    except CommandError as error:
        if any(words in error.output for words in NO_LOGIN):
            raise LoginError(error) from error
        raise
    return json.loads(text) if text.strip() else None


def subscription_of(arguments: Sequence[str]) -> tuple[str, ...]:
    """The option that names the subscription, for an `az` command with these arguments."""
    if not SUBSCRIPTION or arguments[0] in ANY_SUBSCRIPTION:
        return ()
    return ("--subscription", SUBSCRIPTION)


def pulumi(*arguments: str, cwd: Path = ROOT) -> str:
    """What `pulumi` prints. Raises `CommandError`."""
    return _captured(["pulumi", *arguments, "--non-interactive"], cwd)


def show(
    command: list[str],
    cwd: Path = ROOT,
    *,
    also: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    quiet: Path | None = None,
) -> None:
    """Run a long command and pass its output on to stderr, or to the file `quiet`. Raises
    `CommandError`. `also`, `env`: arguments and environment that are added, and not shown."""
    say(f"+ {shlex.join(command)}" + (f"   (in {cwd.relative_to(ROOT)})" if cwd != ROOT else ""))
    need(command[0])
    said = bytearray()
    process = relay = None
    target = os.open(quiet, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) if quiet else None
    try:
        with _interrupts_later():  # or it would continue with nobody waiting for it
            # Its own session, so that Ctrl-C reaches it only once, from here: a second one makes
            # `pulumi` quit immediately and leave its state locked.
            process = subprocess.Popen(
                [*command, *also],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_interrupts_now,
            )
            relay = Thread(target=_relay, args=(process, said, target), daemon=True)
            relay.start()
        code = process.wait()
    except KeyboardInterrupt:
        if process is not None and process.poll() is None:
            _end(process, command[0])
        raise
    finally:
        # Not for ever: a process that it left running may hold the pipe.
        if relay is not None:
            relay.join(10)
        if target is not None and not (relay and relay.is_alive()):
            os.close(target)
    if code:
        above = f"exit code {code}; see its output {f'in {quiet}' if quiet else 'above'}"
        raise CommandError(shlex.join(command), above, said.decode(errors="replace"))


@contextmanager
def _interrupts_later() -> Iterator[None]:
    """SIGINT and SIGTERM that arrive in the block are handled at its end."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, _INTERRUPTS)
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupts_now() -> None:
    """For a process started in that block: it has inherited the blocked signals."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _INTERRUPTS)


def _end(process: subprocess.Popen[bytes], name: str) -> None:
    """Interrupt it and its children, and wait; on another interrupt, kill them."""
    try:
        os.killpg(process.pid, signal.SIGINT)
        say(f"waiting for `{name}` to stop cleanly; press Ctrl-C again to kill it")
        process.wait()
    except KeyboardInterrupt:
        with suppress(ProcessLookupError):  # it has ended in the meantime
            os.killpg(process.pid, signal.SIGKILL)


def _relay(process: subprocess.Popen[bytes], said: bytearray, target: int | None) -> None:
    assert process.stdout
    while chunk := os.read(process.stdout.fileno(), 65536):
        said += chunk
        os.write(sys.stderr.fileno() if target is None else target, chunk)


def _captured(command: list[str], cwd: Path = ROOT) -> str:
    need(command[0])
    done = subprocess.run(
        command, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CommandError(shlex.join(command), done.stderr or done.stdout)
    return done.stdout
