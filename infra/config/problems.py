"""All problems with the settings, reported together."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class SettingsError(Exception):
    """The settings are wrong: `problems` has one line per problem, with key, value and fix.

    `hint`: a line that is not a problem.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[str], hint: str = "") -> None:
        self.problems, self.hint = tuple(problems), hint
        super().__init__("\n".join(filter(None, (*self.problems, hint))))


class Problems:
    """Collects lines, so that users see all mistakes at once."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def add(self, key: str, value: object, fix: str) -> None:
        """One line: what was set, and what to do about it."""
        self.lines.append(f"{key} {value!r}: {fix}")

    def raise_any(self) -> None:
        """`SettingsError` if anything was added."""
        if self.lines:
            raise SettingsError(self.lines)


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """'; did you mean NAME?' for a name close to a known one, ignoring case; else ''."""
    by_lower = {one.lower(): one for one in known}
    close = get_close_matches(name.lower(), by_lower, n=1)
    return f"; did you mean {by_lower[close[0]]}?" if close else ""
