"""The SSH key of a cluster on this machine."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from contextlib import suppress
from pathlib import Path


def private_key(public: str) -> Path | None:
    """The file in ~/.ssh whose public half is `public`; None if there is none."""
    for file in sorted(Path("~/.ssh").expanduser().glob("*.pub")):
        with suppress(OSError, UnicodeDecodeError):
            private = file.with_suffix("")
            if _blob(file.read_text()) == _blob(public) and private.is_file():
                return private
    return None


def in_agent(public: str) -> bool:
    """Whether the agent has it."""
    try:
        done = subprocess.run(
            ["ssh-add", "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return _blob(public) in done.stdout.split()


def fingerprint(public: str) -> str:
    """As `ssh-keygen -l` and SSH's own messages show it."""
    digest = hashlib.sha256(base64.b64decode(_blob(public))).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def _blob(line: str) -> str:
    words = line.split()
    return words[1] if len(words) > 1 else ""
