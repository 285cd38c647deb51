"""What became of a run, in one line."""

from __future__ import annotations

import math
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from savanna.errors import SavannaError
from savanna.runs.directory import LATEST, RunDirectory

BROKEN = "broken"
"""The state of a run with an unreadable file; its reason says which."""


@dataclass(frozen=True, eq=False)
class Summary:
    """One run. `group`: the runs of its command; `drawn`: how it differs from the others."""

    run: RunDirectory
    state: str
    reason: str = ""
    final_return: float = math.nan  # the last mean of 100 episodes
    agent_steps: int = 0
    seconds: float = 0.0
    best_checkpoint: int | None = None
    group: str | None = None
    drawn: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.run.path.parent.name}/{self.run.id}"

    def as_json(self) -> dict[str, Any]:
        """What `savanna runs --json` prints."""
        return {
            "run": self.name,
            "state": self.state,
            "reason": self.reason,
            "return": self.final_return if math.isfinite(self.final_return) else None,
            "agent_steps": self.agent_steps,
            "seconds": self.seconds,
            "best_checkpoint": self.best_checkpoint,
            "group": self.group,
            "drawn": dict(self.drawn),
            "path": str(self.run.path),
        }


def all_runs(root: Path) -> list[RunDirectory]:
    """Every run directory under `root`, newest first, without older copies that were set aside."""
    found = [RunDirectory(file.parent.resolve()) for file in root.glob("*/*/config.json")]
    found = [run for run in found if run.path.parent.name != LATEST and run.id[0] != "."]
    return sorted(found, key=lambda run: (run.id, run.path), reverse=True)


def summary(run: RunDirectory) -> Summary:
    """The summary of `run`; an unreadable file makes its state `broken` and raises nothing."""
    try:
        return _summary(run)
    except SavannaError as error:
        return Summary(run, BROKEN, str(error))
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        return Summary(run, BROKEN, f"a file in {run.path} is damaged: {error!r}")


def _summary(run: RunDirectory) -> Summary:
    rows, group = run.metrics(), dict(run.config.get("options", {}).get("group") or {})
    known = [row["episode_return_mean"] for row in rows if "episode_return_mean" in row]
    last = rows[-1] if rows else {}
    return Summary(
        run,
        state_of(run),
        str(run.status.get("reason") or ""),
        next((value for value in reversed(known) if math.isfinite(value)), math.nan),
        int(last.get("agent_steps", 0)),
        last.get("seconds", 0.0),
        run.checkpoint("best").number if run.checkpoints() else None,
        group.get("name"),
        group.get("drawn", {}),
    )


def state_of(run: RunDirectory) -> str:
    """The state of `run`; `interrupted` if it says `running` but its process is gone."""
    status = run.status
    state = str(status.get("state", "unknown"))
    here = status.get("host") == socket.gethostname()
    if state == "running" and here and not psutil.pid_exists(status["pid"]):
        return "interrupted"
    return state
