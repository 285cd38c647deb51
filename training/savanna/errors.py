"""The kinds of error a user may see without a traceback."""

import os


class SavannaError(Exception):
    """Something failed while working; the command exits with code 1."""


class GaveUp(SavannaError):
    """Training cannot go on; the message says all that a person needs to know of it."""


class MayPass(GaveUp):
    """The same, for a cause that may be gone when training is tried again."""


class UsageError(SavannaError):
    """The command, an option or a file was wrong; nothing was started; exit code 2."""


class Interrupted(KeyboardInterrupt):
    """A signal ended the run after its last checkpoint; exit code 130 or 143.

    No `SavannaError`: a loop that tries the next run after an error must end with Ctrl-C.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


def explained(error: OSError) -> str:
    """What the system refused, without Python's signs: `runs/x: No space left on device`."""
    if error.errno is None:
        return str(error) or type(error).__name__
    why = os.strerror(error.errno)
    return f"{error.filename}: {why}" if error.filename is not None else why
