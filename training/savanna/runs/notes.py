"""Messages from a trial to its session, in a hidden file of the run directory.

Tune passes on only results; a message is seen even while no result comes.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

_MESSAGES = ".messages"


class Message(NamedTuple):
    """A message for whoever watches the run."""

    text: str
    problem: bool = False  # it lasts until the next message


def tell(run: Path, message: Message) -> None:
    """Leave a message; ignores write errors, as a full disk must not end a run here."""
    with contextlib.suppress(OSError), (run / _MESSAGES).open("a") as handle:
        handle.write(json.dumps(message) + "\n")


class Inbox:
    """Reads the messages that a run's trial leaves from now on."""

    def __init__(self, run: Path) -> None:
        self._file = run / _MESSAGES
        self._read = 0  # bytes
        self.close()

    def take(self) -> list[Message]:
        """The new messages."""
        try:
            with self._file.open("rb") as handle:
                handle.seek(self._read)
                whole, newline, _ = handle.read().rpartition(b"\n")
        except OSError:
            return []
        self._read += len(whole + newline)
        return [Message(*json.loads(line)) for line in whole.splitlines()]

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)
