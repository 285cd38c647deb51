"""What a session and its trials tell each other beside Tune's results: hidden files in the run's
directory, which both see at any time, also while no result comes."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import NamedTuple

_MESSAGES = ".messages"


class Message(NamedTuple):
    """What a trial says to whoever watches the run."""

    text: str
    problem: bool = False  # true until the next message


def tell(run: Path, message: Message) -> None:
    """Leave a message. What cannot be written is lost: a full disk ends no run here."""
    with contextlib.suppress(OSError), (run / _MESSAGES).open("a") as handle:
        handle.write(json.dumps(message) + "\n")


class Inbox:
    """Reads the messages that a run's trial leaves from now on."""

    def __init__(self, run: Path) -> None:
        self._file = run / _MESSAGES
        self._read = 0  # bytes
        self.close()

    def take(self) -> list[Message]:
        """Messages that are new."""
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
