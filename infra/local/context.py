"""`.savanna/`: how commands in this folder find the cluster, and its token."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from infra.facts import facts

FOLDER = Path(".savanna")


def token_file(name: str) -> Path:
    return FOLDER.resolve() / f"{name}.token"


def read_token(name: str) -> str | None:
    file = token_file(name)
    return file.read_text().strip() or None if file.is_file() else None


def keep_token(name: str, token: str | None = None) -> str:
    """Write `token`, or a new one of 256 bits, to a file that only this user can read."""
    token = token or secrets.token_hex(32)
    FOLDER.mkdir(mode=0o700, exist_ok=True)
    file = token_file(name)
    file.unlink(missing_ok=True)
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as handle:
        handle.write(token + "\n")
    return token


def keep_context(name: str, port: int) -> Path:
    """What `savanna submit` and similar commands need: address and token file of the cluster.

    Every cluster has a file with its name; commands use `cluster.json`, the newest cluster's.
    """
    content = {
        "name": name,
        "address": f"http://127.0.0.1:{port}",
        "token_file": str(token_file(name)),
        "results": facts()["RESULTS_PATH"],
    }
    text = json.dumps(content, indent=2) + "\n"
    (FOLDER / f"{name}.json").write_text(text)
    current = FOLDER.resolve() / "cluster.json"
    current.write_text(text)
    return current


def forget(name: str) -> None:
    """Remove everything written here for this cluster."""
    token_file(name).unlink(missing_ok=True)
    (FOLDER / f"{name}.json").unlink(missing_ok=True)
    current = FOLDER / "cluster.json"
    if current.is_file() and json.loads(current.read_text()).get("name") == name:
        current.unlink()
        for other in FOLDER.glob("*.json"):
            current.write_text(other.read_text())
            break
