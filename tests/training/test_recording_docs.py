"""docs/metrics.md defines exactly the metrics that are recorded."""

from __future__ import annotations

import re
from pathlib import Path

from savanna.metrics import COLUMNS

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def test_the_page_defines_every_column_once() -> None:
    defined = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), flags=re.MULTILINE)
    assert sorted(defined) == sorted(COLUMNS)


def test_every_definition_says_something() -> None:
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            meaning = line.split("|")[3].strip()
            assert len(meaning) > 20 and meaning.endswith("."), line
