"""Asking before money is spent or things are deleted. Never of something that is no terminal."""

from __future__ import annotations

import sys

from infra.operate.tools import UsageError, say


class Declined(Exception):
    """The user said no."""


def confirm(question: str, *, yes: bool, how: str = "YES=1") -> None:
    """Return if `yes`, or if whoever sits there says so; `Declined` if not."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} Nobody is there to answer: say {how}")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Declined


def confirm_by_name(question: str, name: str, given: str) -> None:
    """Return if `given`, or what is typed, is `name`."""
    if not given:
        if not sys.stdin.isatty():
            raise UsageError(f"{question} Nobody is there to answer: say CONFIRM={name}")
        print(f"{question} Type {name}: ", end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline().strip()
    if given != name:
        say(f"{given!r} is not {name!r}")
        raise Declined
