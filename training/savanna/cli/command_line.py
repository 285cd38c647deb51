"""Command lines as options with values, and options that conflict."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

BARE = (
    "--checkpoint-at-end",
    "--video",
    "--report",
    "--dry-run",
    "--json",
    "--debug",
    "--help",
    "-h",
)
"""Options of `savanna train` without a value, besides those that start with `--no-`."""

_ALIASES = {
    "--scenario": "--env",
    "--set num_env_runners": "--num-env-runners",
    "--set num_gpus_per_learner": "--num-gpus",
    "--stop old_return": "--stop return",
}


@dataclass(frozen=True)
class Option:
    """One option as given; a positional argument has the flag ''."""

    flag: str
    value: str | None  # None: has none, or none was given
    words: tuple[str, ...]

    @property
    def text(self) -> str:
        return self.flag if self.value is None else f"{self.flag} {self.value}".strip()

    @property
    def lacks_value(self) -> bool:
        return bool(self.flag) and not self.value and not is_bare(self.flag)


def is_bare(flag: str) -> bool:
    return flag in BARE or flag.startswith("--no-")


def options_of(argv: Sequence[str]) -> list[Option]:
    """The options in order; a value that starts with a dash is a negative number."""
    found, words = [], list(argv)
    while words:
        word = words.pop(0)
        flag, equals, inline = word.partition("=")
        if not word.startswith("-"):
            found.append(Option("", word, (word,)))
        elif equals:
            found.append(Option(flag, inline, (word,)))
        elif is_bare(flag) or not words or re.match(r"-(?![\d.])", words[0]):
            found.append(Option(flag, None, (word,)))
        else:
            value = words.pop(0)
            found.append(Option(flag, value, (word, value)))
    return found


def target(flag: str, value: str | None) -> str:
    """What an option sets: its name, plus the key for `--set` and `--stop`."""
    if flag in ("--set", "--stop"):
        flag = f"{flag} {(value or '').partition('=')[0].strip()}"
    if is_bare(flag):
        flag = flag.replace("--no-", "--")
    return _ALIASES.get(flag, flag)


def conflicts(given: Iterable[tuple[str, str]]) -> list[str]:
    """One line for everything that is set twice. `given` holds the text of each option and its
    `target`.

    Otherwise one of the two would be silently ignored.
    """
    origins: dict[str, list[str]] = {}
    for text, name in given:
        origins.setdefault(name, []).append(text)
    problems = (
        f"{' and '.join(texts)}: both set {name}. Give only one."
        for name, texts in origins.items()
        if len(texts) > 1
    )
    return list(dict.fromkeys(problems))
