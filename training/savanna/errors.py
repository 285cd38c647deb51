"""The kinds of error a user may see without a traceback."""


class SavannaError(Exception):
    """Something failed while working; the command exits with code 1."""


class GaveUp(SavannaError):
    """Training cannot go on; the message says all that a person needs to know of it."""


class UsageError(SavannaError):
    """The command, an option or a file was wrong; nothing was started; exit code 2."""


class Interrupted(SavannaError):
    """A signal ended the run after its last checkpoint; exit code 130 or 143."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number
