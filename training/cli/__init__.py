"""The `savanna` command."""

from training.cli.main import main

__all__ = ["main"]
