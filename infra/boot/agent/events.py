"""Azure's scheduled events: a node that is about to be removed drains first.

A spot machine has 30 seconds from the notice; acknowledging it lets Azure proceed immediately.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from . import cloud
from .stop import drain, say

PATH = "scheduledevents?api-version=2020-07-01"
LEAVES = ("Preempt", "Terminate", "Reboot", "Redeploy")  # "Freeze" is over in seconds
PREEMPT_SECONDS = 28
POLL_SECONDS = 2.0
FIRST_TIMEOUT, TIMEOUT = 150.0, 10.0  # the first call enables the feature, which takes minutes


def ours(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The events in `document` that remove the machine `name`."""
    found = document.get("Events", [])

    def takes(event: dict[str, Any]) -> bool:
        names = [resource.lower() for resource in event.get("Resources", [])]
        return event["EventType"] in LEAVES and name.lower() in names

    return [event for event in found if takes(event)]


class Watcher:
    """Reacts to one document after another."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: set[str] = set()
        self.mark = Path(cloud.setting("RUNTIME_DIRECTORY")) / "evicted"
        self.mark.unlink(missing_ok=True)

    def look(self, document: dict[str, Any]) -> None:
        events = ours(document, self.name)
        for event in events:
            if event["EventId"] not in self.seen:
                self.leave(event)
                self.seen.add(event["EventId"])
        if not events and self.mark.exists():
            say("the event is over and this machine still exists: joining again")
            self.mark.unlink()

    def leave(self, event: dict[str, Any]) -> None:
        """Drain, then acknowledge. After a `CloudError` it is called again."""
        kind, when = event["EventType"], event.get("NotBefore") or "now"
        if not self.mark.exists():
            self.mark.touch()  # nothing starts while it exists
            say(f"{kind} announced (not before {when}): draining")
            seconds = PREEMPT_SECONDS if kind == "Preempt" else int(cloud.setting("STOP_TIMEOUT"))
            say("drained" if drain(seconds) else "nothing to drain")
        cloud.metadata(PATH, "POST", {"StartRequests": [{"EventId": event["EventId"]}]})
        say(f"{kind} acknowledged")


def watch() -> int:
    """Runs for ever. Failing calls are reported once, until one works again."""
    watcher: Watcher | None = None
    timeout, failed = FIRST_TIMEOUT, False
    while True:
        try:
            watcher = watcher or Watcher(cloud.instance().name)
            watcher.look(json.loads(cloud.metadata(PATH, timeout=timeout) or b"{}"))
            timeout, failed = TIMEOUT, False
        except (cloud.CloudError, ValueError) as error:
            if not failed:
                say(f"scheduled events: {error}")
            failed = True
        time.sleep(POLL_SECONDS)
