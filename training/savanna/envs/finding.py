"""What a check of an environment found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal["ok", "warning", "wrong", "skipped"]
"""`wrong`: training refuses it. `warning`: it trains, but."""
Result = tuple[Verdict, str] | tuple[Verdict, str, str]
"""Of a check: the verdict, the finding in one line, and how to fix it."""


@dataclass(frozen=True)
class Finding:
    """What one check found, in one line, and how to fix it."""

    check: str
    verdict: Verdict
    text: str
    fix: str = ""

    @property
    def sentences(self) -> str:
        return f"{self.text}. {self.fix}".removesuffix(" ") if self.fix else self.text
