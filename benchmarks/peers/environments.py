"""An environment for each peer, below build/peers, with the packages its file pins."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from savanna.errors import SavannaError, UsageError

ROOT = Path(__file__).parents[2]
IMPORTABLE = f"{ROOT}{os.pathsep}{ROOT / 'training'}"
BUILD = ROOT / "build" / "peers"


def python_of(name: str) -> Path:
    """The Python of a peer's environment, which is created if it is missing or out of date.

    Raises:
        UsageError: uv is not installed beside our Python.
        SavannaError: uv could not install the pinned packages.
    """
    requirements = Path(__file__).with_name(f"{name}.txt")
    folder, stamp = BUILD / name, BUILD / name / ".installed"
    if stamp.is_file() and stamp.read_text() == requirements.read_text():
        return folder / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    if not uv.is_file():
        raise UsageError(f"{uv} is missing: `make setup` installs it")
    print(f"installing {name} into {folder} ...", file=sys.stderr, flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _call(name, uv, "venv", "-q", "--clear", "--python", sys.executable, folder)
    python = folder / "bin" / "python"
    _call(name, uv, "pip", "install", "-q", "--python", python, "-r", requirements)
    stamp.write_text(requirements.read_text())
    return python


def _call(name: str, *command: str | Path) -> None:
    wheels = os.environ.get("UV_FIND_LINKS") or os.environ.get("PIP_FIND_LINKS", "")
    environment = {**os.environ, "UV_FIND_LINKS": wheels, "UV_LINK_MODE": "copy"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        why = " ".join(result.stderr.split())
        raise SavannaError(f"cannot install {name}: {why[-600:]}")
