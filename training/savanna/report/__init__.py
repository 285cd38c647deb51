"""The report of a run: `write_report(run)` writes `report.html` from the run directory alone."""

from __future__ import annotations

from pathlib import Path

from savanna.runs.directory import RunDirectory
from savanna.runs.group import Group

__all__ = ["write_group_page", "write_report"]


def write_report(run: RunDirectory) -> Path:
    """Write `report.html` into `run`, finished or not, and return its path.

    Raises `SavannaError` if a file of the run is unreadable or the page cannot be written.
    """
    from savanna.report import page

    return page.write_report(run)


def write_group_page(group: Group) -> Path:
    """Write `group-NAME.html` beside the runs of `group`, and return its path.

    Raises `SavannaError` if a file of a run is unreadable or the page cannot be written.
    """
    from savanna.report import group_page

    return group_page.write_group_page(group)
