"""The `savanna` command."""

from savanna.cli.main import main

__all__ = ["main"]
