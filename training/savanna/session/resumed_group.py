"""Continuing the runs of one command that did not succeed: several seeds, or a search."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from savanna.runs.directory import RunDirectory
from savanna.runs.group import find_group
from savanna.runs.owner import Owner, owned
from savanna.runs.resumption import go_back
from savanna.runs.stored_group import fetch_group
from savanna.runs.summary import Summary
from savanna.session.plan import json_safe
from savanna.session.request import TrainRequest

DONE = "succeeded"


class ResumedGroup:
    """The runs of the group that a request names.

    The same command draws the same values, so each trial finds the run that drew them, and goes on
    with it. Those that succeeded are left alone. This process owns the others until `stack` ends,
    and they are where their newest whole checkpoint was written.
    """

    def __init__(self, request: TrainRequest, stack: ExitStack) -> None:
        root, name = request.runs_root, request.resume_group or ""
        if request.storage:
            fetch_group(request.storage, name, root)
        group = find_group(root, name)
        self.name = group.name
        self.done = [m.run for m in group.members if m.state == DONE]
        asked = max(m.run.config["options"]["runs"] for m in group.members)
        self.is_complete = len(self.done) == asked
        self.owners: dict[RunDirectory, Owner] = {}
        for member in group.members:
            if member.state != DONE:
                owner = stack.enter_context(owned(member.run.path))
                assert owner is not None
                self.owners[member.run] = owner
        for run in self.owners:
            run.stop_request.unlink(missing_ok=True)
            go_back(run)
        self._left: list[Summary] = group.members

    def take(self, drawn: Mapping[str, Any]) -> RunDirectory | None:
        """The run that drew this; each is given once."""
        for member in self._left:
            if _key(member.drawn) == _key(drawn):
                self._left.remove(member)
                return member.run
        return None


def _key(drawn: Mapping[str, Any]) -> str:
    return json.dumps(json_safe(drawn), sort_keys=True)
