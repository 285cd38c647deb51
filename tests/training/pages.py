"""The examples of a page of docs/: its Python files, and its commands."""

import re
import shlex
from pathlib import Path

from command import ROOT


def files_of(page: str, folder: Path) -> list[str]:
    """Write the Python files that a page shows into `folder`; their names."""
    text = (ROOT / "docs" / page).read_text()
    names = []
    for name, code in re.findall(r"^```python\n# (\w+\.py)\n(.*?)^```", text, re.DOTALL | re.M):
        (folder / name).write_text(code)
        names.append(name)
    return names


def commands_of(page: str, section: str = "") -> list[list[str]]:
    """The `savanna` commands that a page shows, or a section of it, as words."""
    text = (ROOT / "docs" / page).read_text()
    if section:
        text = text.split(section, 1)[1].split("\n#")[0]
    lines = re.findall(r"^    savanna (.*)$", text.replace("\\\n", ""), re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]
