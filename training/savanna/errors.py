"""The two kinds of error a user may see without a traceback."""


class SavannaError(Exception):
    """Something failed while working; the command exits with code 1."""


class UsageError(SavannaError):
    """The command, an option or a file was wrong; nothing was started; exit code 2."""
