"""`pulumi up` and `destroy`, watched: one line for each resource, and the cause if it fails.

Pulumi writes what happens to an event log, as it does for its own Automation API. Preview and
update each begin that file anew, so what the preview plans to do is what is still to come.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from infra.local.context import FOLDER
from infra.operate.causes import causes, explain, resource_name
from infra.operate.tools import CommandError, say, show

POLL = 0.5
"""Seconds between two looks at the log."""
SILENCE = 60.0
"""Seconds without a line after which those that are being made are named."""
DONE = {
    "create": "created",
    "update": "updated",
    "delete": "deleted",
    "replace": "replaced",
    "create-replacement": "created anew",
    "delete-replaced": "removed the old",
}
"""What is shown; Pulumi also reports what it only reads."""


class UpdateError(CommandError):
    """An update that failed; `causes` has a line for each cause."""

    def __init__(self, error: CommandError, found: list[str], log: Path) -> None:
        super().__init__(error.command, error.output, error.shown)
        self.causes, self.log = found, log


class Progress:
    """What the events so far mean."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []
        self._planned: dict[str, str] = {}  # URN -> name
        self._since: dict[str, float] = {}
        self._done: set[str] = set()
        self._spoken = time.monotonic()

    def begin(self) -> None:
        """The log begins anew: the preview is over."""
        self._planned |= {urn: "" for urn in self._since if urn not in self._planned}
        self.events, self._since, self._done = [], {}, set()

    def see(self, event: Mapping[str, Any], *, update: bool) -> None:
        """One more event, of the update itself or of the preview before."""
        self.events.append(event)
        for kind in ("resourcePreEvent", "resOutputsEvent", "resOpFailedEvent"):
            metadata = (event.get(kind) or {}).get("metadata") or {}
            if metadata.get("op") in DONE and str(metadata.get("type")).startswith("azure-native:"):
                self._step(kind, metadata, float(event.get("timestamp") or 0), update)

    def _step(self, kind: str, metadata: Mapping[str, Any], at: float, update: bool) -> None:
        urn, name = metadata["urn"], resource_name(metadata)
        self._planned[urn] = name
        if not update:
            return
        if kind == "resourcePreEvent":
            self._since[urn] = at
            return
        took = at - self._since.pop(urn, at)
        self._done.add(urn)
        word = "FAILED" if kind == "resOpFailedEvent" else DONE[metadata["op"]]
        of = f"/{len(self._planned)}" if len(self._planned) > len(self._done) else ""
        self._say(f"  {len(self._done):>3}{of}  {word} {name}, {took:.0f} s")

    def waiting(self) -> None:
        """Say what is being made and what is to come, if nothing was said for a while."""
        if self._since and time.monotonic() - self._spoken > SILENCE:
            busy = ", ".join(
                f"{self._planned[urn]} ({time.time() - at:.0f} s)"
                for urn, at in self._since.items()
            )
            left = [
                name
                for urn, name in self._planned.items()
                if urn not in self._since and urn not in self._done
            ]
            self._say(f"       working on {busy}; still to come: {', '.join(left) or 'nothing'}")

    def _say(self, text: str) -> None:
        say(text)
        self._spoken = time.monotonic()


def watched(command: list[str], program: Path, name: str, *, verbose: bool) -> None:
    """Run `pulumi up` or `destroy`; raises `UpdateError`.

    `verbose`: show all that Pulumi says. Else it goes to a file, `.savanna/NAME.log`.
    """
    progress, stop = Progress(), Event()
    with tempfile.TemporaryDirectory() as folder:
        events = Path(folder) / "events.jsonl"
        previews = "--skip-preview" not in command
        watcher = Thread(target=_watch, args=(events, progress, previews, stop, verbose))
        FOLDER.mkdir(mode=0o700, exist_ok=True)
        log = FOLDER / f"{name}.log"
        watcher.start()
        try:
            show(
                command,
                program,
                # As the Automation API does; without the variable there is no such option.
                also=["--event-log", str(events)],
                env={"PULUMI_DEBUG_COMMANDS": "true"},
                quiet=None if verbose else log,
            )
        except CommandError as error:
            stop.set()
            watcher.join()
            found = causes(progress.events) or _last_words(error.shown)
            raise UpdateError(error, found, log) from error
        finally:
            stop.set()
            watcher.join()


def _last_words(shown: str) -> list[str]:
    """Without events, as when it cannot even begin: the errors that Pulumi printed."""
    said = [line.strip() for line in shown.splitlines()]
    found = [line.removeprefix("error: ") for line in said if line.startswith("error: ")]
    return [explain(line) for line in found if line != "update failed"][:5]


def _watch(file: Path, progress: Progress, previews: bool, stop: Event, verbose: bool) -> None:
    at, update, rest = 0, not previews, b""
    while True:
        last = stop.is_set()
        with suppress(FileNotFoundError):
            with file.open("rb") as log:
                if log.seek(0, 2) < at:
                    progress.begin()
                    at, update, rest = 0, True, b""
                log.seek(at)
                read = log.read()
            at += len(read)
            *lines, rest = (rest + read).split(b"\n")
            for line in lines:
                with suppress(ValueError):
                    event = json.loads(line)
                    progress.see(event, update=update and not verbose)
        if last:
            return
        if not verbose:
            progress.waiting()
        stop.wait(POLL)
