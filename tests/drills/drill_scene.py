"""One drill: a command in a folder of its own, a fault at a moment drawn from the seed, and what
is left of the run and on the machine afterwards."""

from __future__ import annotations

import os
import random
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
from command import ours, run, savanna_command, started
from waiting import gone, wait_until

from savanna.runs.checkpoints import is_whole
from savanna.runs.directory import RunDirectory

MARK = "SAVANNA_DRILL"
"""Environment variable that every process of a drill inherits."""
QUICK = ("--evaluate-episodes", "0", "--no-video", "--no-report")
SMALL = (
    "--num-env-runners",
    "1",
    "--checkpoint-freq",
    "1",
    "--set",
    "train_batch_size_per_learner=256",
    "--set",
    "minibatch_size=128",
)
"""Settings of CartPole with which an iteration takes half a second."""
RAY = ("ray", "ray/session_latest")
LIMIT = 120.0
"""Seconds from a fault to the end of the command, or to its next iteration."""


@dataclass
class Found:
    """A row of the table."""

    fault: str = ""
    outcome: str = ""
    seconds: float | None = None  # from the fault to the end, or to the next iteration
    lost: float | None = None  # iterations
    left: str = "nothing"


@dataclass
class Scene:
    """A drill's folder, its random numbers and what it found out."""

    home: Path
    chance: random.Random
    found: Found = field(default_factory=Found)
    killed: bool = False  # a command that cannot have cleaned up after itself
    cut_off: bool = False  # a command that had no time for a last checkpoint
    mark: str = field(default_factory=lambda: secrets.token_hex(8))

    def __post_init__(self) -> None:
        # Not below `home`: the names of Ray's sockets may have 107 characters.
        self.temporary = Path(tempfile.mkdtemp(prefix="drill-"))
        self._at = 0.0  # when the fault happened
        self._known: set[psutil.Process] = set()
        self._kept = self._rows = 0

    @property
    def environment(self) -> dict[str, str]:
        return ours(**{MARK: self.mark, "TMPDIR": str(self.temporary)})

    @contextmanager
    def command(self, *words: object, **environment: str) -> Iterator[Command]:
        """A `savanna` command that runs in the block."""
        output = self.home / f"output-{secrets.token_hex(2)}"
        with output.open("w") as file:
            pipes = {"stdout": file, "stderr": file}
            environment = self.environment | environment
            words = savanna_command(*words)
            with started(words, cwd=self.home, env=environment, **pipes) as process:
                yield Command(self, process, output)

    def train(self, *words: object, keep: int = 2, **environment: str):
        """`savanna train cartpole` with quick iterations and no end."""
        options = (*SMALL, "--keep", str(keep), "--stop", "none", *QUICK)
        return self.command("train", "cartpole", *options, *words, **environment)

    def run_directory(self) -> RunDirectory:
        return RunDirectory.find("latest", self.home / "runs")

    def rows(self) -> int:
        """Iterations in the newest run's metrics.csv; 0 before there is one."""
        try:
            rows = self.run_directory().metrics()
        except Exception:
            return 0
        return rows[-1]["iteration"] if rows else 0

    def kept(self) -> int:
        """The iteration of the newest checkpoint; 0 if there is none."""
        try:
            kept = self.run_directory().checkpoints()
        except Exception:
            return 0
        return kept[-1].iteration if kept else 0

    def pause(self, longest: float) -> None:
        """Wait for a random time of at most `longest` seconds."""
        time.sleep(self.chance.uniform(0, longest))

    def fault(self, what: str) -> None:
        """Note that it happens now."""
        self.watch()
        self._kept, self._rows = self.kept(), self.rows()
        self._at = time.monotonic()
        self.found.fault = what

    def since(self) -> float:
        """Seconds since the fault."""
        return time.monotonic() - self._at

    def done(self, outcome: str, *, exact: bool = False) -> None:
        """The command has ended or goes on. Checks that no more was lost than may be.

        With `exact` it had the time for a checkpoint: nothing at all may be lost.
        """
        self.found.outcome = outcome
        self.found.seconds = self.since()
        assert self.found.seconds < LIMIT, f"{self.found.seconds:.0f} s"
        if not list(self.home.glob("runs/*/*/config.json")):
            assert self._kept == self._rows == 0, "the run is gone"
            self.found.lost = 0
            return
        self.check_history()
        kept, rows = self.kept(), self.rows()
        assert kept >= self._kept, "a checkpoint was lost"
        assert rows >= self._rows, "iterations are missing in metrics.csv"
        self.found.lost = max(0, rows - kept)
        # It may be about to save the newest iteration, and have begun the next.
        assert self.found.lost <= (0 if exact else max(1, self._rows - self._kept))

    def check_history(self) -> None:
        """The newest run's checkpoints are whole, and its rows follow each other."""
        made = self.run_directory()
        for one in made.checkpoints():
            assert is_whole(made.checkpoint_path(one.number)), one
        numbers = [row["iteration"] for row in made.metrics()]
        assert numbers == list(range(1, len(numbers) + 1))

    def resume(self, *words: object, **environment: str) -> None:
        """The newest run can be resumed, and loses nothing and leaves nothing by it."""
        before = self.kept()
        more = ("--stop", "none", "--stop", f"iterations={before + 1}", *QUICK, *words)
        command = savanna_command("train", "--resume", "latest", *more)
        environment = self.environment | environment
        result = run(command, cwd=self.home, env=environment, timeout=LIMIT)
        assert result.returncode == 0, result.stderr
        self.check_history()
        assert self.run_directory().status["state"] == "succeeded"
        assert self.kept() == before + 1
        self.cut_off = False
        self.nothing_left()
        self.found.outcome += ", resumed"

    def watch(self) -> None:
        """Remember what runs now. Ray's processes overwrite their environment with their titles."""
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get(MARK) == self.mark:
                    self._known |= {process, *process.children(recursive=True)}

    def processes(self) -> list[psutil.Process]:
        """All processes of this drill that live."""
        self.watch()
        return [p for p in self._known if p.is_running() and not gone(p.pid)]

    def nothing_left(self, *, killed: bool = False) -> None:
        """No process is left, and no file that nobody needs.

        After a command was `killed`, the next one may have to tidy up what is beside its runs.
        """
        # Ray's agents look every few seconds whether those they serve are there.
        psutil.wait_procs(self.processes(), timeout=45 if killed else 10)
        names = [p.name() for p in self.processes()]
        assert not names, f"processes are left: {names}"
        if killed:
            self.killed = True
            left = self._until_the_next_command()
            self.found.left = f"until the next command: {', '.join(left)}" if left else "nothing"
            return
        files = [str(f.relative_to(self.temporary)) for f in self.temporary.rglob("*")]
        files = [f for f in files if f not in RAY and not f.startswith("ray/session_")]
        if self.killed:  # the next command waits a minute before it deletes them
            files = [f for f in files if not f.startswith("savanna-run-")]
        assert not files, f"temporary files are left: {files}"
        hidden = [f.name for f in self.home.glob("runs/**/.*")]
        if self.cut_off:  # the trial may still have written it; resuming deletes it
            hidden = [name for name in hidden if "checkpoint_" not in name]
        assert not hidden, f"unfinished files are left beside the run: {hidden}"
        assert not list(self.home.glob("runs/*/*/owner.json"))

    def _until_the_next_command(self) -> list[str]:
        """The kinds of files that a killed command has left."""
        of_runs = [f.name for f in self.home.glob("runs/**/.*")]
        of_runs += [f.name for f in self.home.glob("runs/*/*/owner.json")]
        temporary = [f.name for f in self.temporary.iterdir() if f.name != "ray"]
        kinds = [
            re.sub(r"(savanna-run-|checkpoint_|log-|mlflow-|older-).*", r"\1*", name)
            for name in of_runs
        ]
        kinds += [re.sub(r"^(savanna-run-|tmp).*", r"\1*", name) for name in temporary]
        return sorted({f"`{kind}`" for kind in kinds})

    def close(self) -> None:
        for process in self.processes():
            process.kill()
        shutil.rmtree(self.temporary, ignore_errors=True)


@dataclass
class Command:
    """A running command of a drill."""

    scene: Scene
    process: subprocess.Popen  # noqa: TID251 (the type)
    output: Path

    def said(self) -> str:
        return self.output.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        wait_until(condition, process=self.process, said=self.said)

    def until_said(self, text: str) -> None:
        self.until(lambda: text in self.said())

    def until_rows(self, count: int) -> None:
        self.until(lambda: self.scene.rows() >= count)

    def children(self, name: str) -> list[psutil.Process]:
        """Those of its processes whose command line starts with `name`."""
        found = []
        for child in psutil.Process(self.process.pid).children(recursive=True):
            try:
                words = child.cmdline()
            except psutil.Error:
                continue
            if words and (words[0].startswith(name) or Path(words[0]).name.startswith(name)):
                found.append(child)
        return found

    def child(self, name: str) -> psutil.Process:
        self.until(lambda: self.children(name))
        return self.children(name)[0]

    def send(self, number: int, whom: str) -> None:
        """A signal to the process, its group, or to everything that it has started."""
        self.scene.fault(f"{signal.Signals(number).name} to {whom}")
        if whom == "the command":
            self.process.send_signal(number)
        elif whom == "its group":
            os.killpg(self.process.pid, number)
        else:
            family = psutil.Process(self.process.pid)
            for process in [*family.children(recursive=True), family]:
                try:
                    process.send_signal(number)
                except psutil.NoSuchProcess:
                    continue

    def ended(self) -> int:
        """Wait for the end; its exit code, 128 + the number of a signal that ended it."""
        try:
            code = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            names = [p.name() for p in self.scene.processes()]
            pytest.fail(f"it did not end within {LIMIT:g} s\n{names}\n{self.said()}")
        assert "Traceback" not in self.said(), self.said()
        return 128 - code if code < 0 else code

    def goes_on(self, iterations: int = 2) -> None:
        """Wait until it has trained for some more iterations."""
        before = self.scene.rows()
        self.until_rows(before + iterations)
