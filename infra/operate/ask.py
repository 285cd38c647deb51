"""Asks before money is spent or things are deleted, but only in a terminal."""

from __future__ import annotations

import sys

from infra.operate.tools import UsageError, say


class Declined(Exception):
    """The user said no."""


def confirm(question: str, *, yes: bool, how: str = "YES=1") -> None:
    """Return if `yes`, or if the user agrees; else raise `Declined`."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError(f"{question} No terminal to answer in: set {how}")
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise Declined


def confirm_by_name(question: str, name: str, given: str) -> None:
    """Return if `given`, or what the user types, is `name`."""
    if not given:
        if not sys.stdin.isatty():
            raise UsageError(f"{question} No terminal to answer in: set CONFIRM={name}")
        print(f"{question} Type {name}: ", end="", file=sys.stderr, flush=True)
        given = sys.stdin.readline().strip()
    if given != name:
        say(f"{given!r} is not {name!r}")
        raise Declined
