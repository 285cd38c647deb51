"""What a check of the doctor finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infra.operate.tools import CommandError, LoginError


@dataclass(frozen=True)
class Finding:
    """The result of one check. `level`: "ok", "warning" (it may work) or "problem"."""

    level: str
    what: str
    fix: str = ""


def ask(question: Callable[[], Any]) -> Any:
    """The answer, or a text that starts with "error" if there is none."""
    try:
        return question()
    except LoginError:
        raise
    except CommandError as error:
        return f"error: {error.output}"


def report(findings: list[Finding]) -> list[str]:
    """One line per finding, followed by its fix."""
    marks = {"ok": "ok     ", "warning": "warning", "problem": "PROBLEM"}
    return [
        f"{marks[f.level]}  {f.what}" + (f"\n         fix: {f.fix}" if f.fix else "")
        for f in findings
    ]
