"""The `savanna` command, for tests."""

import os
import subprocess
import sys
from pathlib import Path


def savanna(*arguments, cwd: Path, timeout: float = 240, **environment: str):
    """Run the `savanna` command as a user would; its completed process."""
    return subprocess.run(
        [sys.executable, "-m", "training", *map(str, arguments)],
        cwd=cwd,
        timeout=timeout,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
    )
