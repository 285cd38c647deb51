"""Runs tests in a copy of the checkout, and leaves nothing of them behind."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "SAVANNA_PLANTED"
"""Variable that marks the processes of a test, to find them wherever they are."""
GRACE = 60
"""Seconds for fixtures to clean up (also containers) after tests that took too long."""
COMMIT = ["-c", "user.name=planted", "-c", "user.email=planted@example.org", "commit", "-qm", "."]


@dataclass(frozen=True)
class Outcome:
    """The result of a run of tests."""

    failed: tuple[str, ...]  # tests, in pytest's notation
    why: str  # pytest's message for the first of them
    passed: int
    seconds: float
    late: bool  # it timed out
    said: str  # the end of the output

    @property
    def green(self) -> bool:
        return self.passed > 0 and not self.failed and not self.late


def copy_checkout(root: Path, target: Path) -> Path:
    """Everything that git tracks or does not ignore, as a separate repository, with the
    environment that runs this."""
    command = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        if (root / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, target / name, follow_symlinks=False)
    for step in (["init", "-q"], ["add", "-A"], COMMIT):
        subprocess.run(["git", *step], cwd=target, check=True, stdout=subprocess.DEVNULL)
    (target / ".venv").symlink_to(sys.prefix)
    for name in ("requirements-dev.txt", "pyproject.toml"):
        if (target / name).exists():
            os.utime(target / name, (0, 0))  # or a test's `make` would install the copy there
    return target


def run_tests(root: Path, tests: list[str], limit: float, *, first: bool = True) -> Outcome:
    """Run tests in the copy at `root`, until the `first` failure; kill what they leave running."""
    mark, temporary = secrets.token_hex(8), root.with_name(f"{root.name}-tmp")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-n",
        "0",
        f"--basetemp={temporary}",
        *(["-x"] if first else []),
        *tests,
    ]
    began = time.monotonic()
    output = root.with_name(f"{root.name}-output")
    with output.open("w") as file:
        process = subprocess.Popen(
            command,
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'training'}", MARK: mark},
        )
    late = False
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        late = True
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            process.wait(GRACE)
    finally:
        kill_marked(mark)
        process.wait()
        shutil.rmtree(temporary, ignore_errors=True)
    seconds, text = time.monotonic() - began, output.read_text(errors="replace")
    # A file without a test's name could not be imported, which does not count as caught.
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+\.py::.+?)(?: - .*)?$", text, re.MULTILINE)
    reason = re.search(r"^E +(.*)$", text, re.MULTILINE)
    passed = re.search(r"(\d+) passed", text)
    return Outcome(
        tuple(failed),
        reason[1] if reason else "",
        int(passed[1]) if passed else 0,
        seconds,
        late,
        text[-3000:],
    )


def kill_marked(mark: str) -> None:
    """Kill whatever carries the mark in its environment."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                process.kill()


@contextmanager
def images_kept() -> Iterator[None]:
    """After the block, Docker has the same images and names as before."""
    docker = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else "docker"

    def call(*arguments: str) -> str:
        done = subprocess.run([docker, *arguments], capture_output=True, text=True, check=False)
        return done.stdout

    def made() -> set[str]:
        return set(
            call("image", "ls", "-q", "--no-trunc", "--filter", "label=savanna.flavour").split()
        )

    def names() -> dict[str, str]:
        form = "{{.Repository}}:{{.Tag}} {{.ID}}"
        listed = call("image", "ls", "--no-trunc", "--format", form, "savanna-cpu").splitlines()
        return {line.split()[0]: line.split()[1] for line in listed if "<none>" not in line}

    before, there = names(), made()
    try:
        yield
    finally:
        for name, image in before.items():
            call("tag", image, name)
        for image in made() - there:
            call("image", "rm", "--force", image)
