"""Sending what Ray, RLlib and warnings print to the run's log instead of the terminal."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO


@contextlib.contextmanager
def quiet(log: Path) -> Iterator[TextIO]:
    """Append this process's stdout, stderr and warnings to `log`; yields the real stderr.

    File descriptors are redirected, not `sys.stderr` alone: Ray's C++ parts write past Python.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    saved = os.dup(1), os.dup(2)
    terminal = os.fdopen(os.dup(2), "w", encoding=sys.stderr.encoding or "utf-8")
    with log.open("a") as handle:
        os.dup2(handle.fileno(), 1)
        os.dup2(handle.fileno(), 2)
    logging.captureWarnings(True)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            yield terminal
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        logging.captureWarnings(False)
        os.dup2(saved[0], 1)
        os.dup2(saved[1], 2)
        for descriptor in saved:
            os.close(descriptor)
        terminal.close()
        # It ends every command on a terminal with an escape code, though nothing of it is coloured.
        colorama = sys.modules.get("colorama.initialise")
        if colorama is not None:
            atexit.unregister(colorama.reset_all)
