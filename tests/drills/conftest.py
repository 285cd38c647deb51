"""A scene for each drill, and the table of what they found."""

from __future__ import annotations

import os
import random
from dataclasses import asdict
from pathlib import Path

import pytest
from container_cluster import cluster  # noqa: F401 (a fixture)
from drill_scene import Scene
from drill_table import Row, write

SEED = int(os.environ.get("DRILL_SEED") or 0)
CHOICE = (
    "test_drill_signals.py::test_while_a_checkpoint_is_written[SIGTERM to all its processes]",
    "test_drill_kills.py::test_the_command_itself[while a checkpoint is written]",
)
"""Drills that `make test` runs too."""
_rows: list[Row] = []
_skipped: set[str] = set()


@pytest.hookimpl(tryfirst=True)  # before `-m` looks at the marks
def pytest_collection_modifyitems(items) -> None:
    for item in items:
        _, here, name = item.nodeid.partition("tests/drills/")
        if here and name not in CHOICE:
            item.add_marker(pytest.mark.drill)


@pytest.fixture
def scene(tmp_path, request):
    """A drill's own folder; its moments are drawn from `DRILL_SEED` and its name."""
    made = Scene(tmp_path, random.Random(f"{SEED} {request.node.nodeid}"))
    yield made
    made.close()
    request.node.user_properties.append(("drill", asdict(made.found)))


def pytest_runtest_logreport(report) -> None:
    found = dict(report.user_properties).get("drill")
    name = report.nodeid.partition("tests/drills/")[2]
    if report.failed:
        _rows.append(Row(name, failed=str(report.longrepr).splitlines()[-1]))
    elif report.skipped:
        _skipped.add(name)
    elif found and report.when == "teardown" and name not in _done():
        _rows.append(Row(name, **found))


def _done() -> set[str]:
    return {*_skipped, *(row.name for row in _rows)}


def pytest_terminal_summary(terminalreporter) -> None:
    file = os.environ.get("DRILL_TABLE")
    if file and _rows:
        write(Path(file), _rows, SEED)
        terminalreporter.write_line(f"{len(_rows)} drills: {file}")
