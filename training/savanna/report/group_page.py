"""The page of a group: all curves in one chart, means with intervals, and the table."""

from __future__ import annotations

from pathlib import Path

from savanna.metrics import EPISODE_WINDOW
from savanna.recording.group_table import mean_of, settings_text, shown
from savanna.recording.text import clock
from savanna.report.group_figures import STYLES, group_figures
from savanna.report.page import render, write_page
from savanna.report.scales import number
from savanna.runs.group import Group
from savanna.runs.summary import Summary


def write_group_page(group: Group) -> Path:
    """Write `group-NAME.html` beside the group's runs, and return its path.

    Raises `SavannaError` if a file of a run is unreadable or the page cannot be written.
    """
    return write_page(group.page, render_group_page(group))


def render_group_page(group: Group) -> str:
    """The page as HTML. The same run directories give the same text."""
    config = group.members[0].run.config
    rows = [
        {
            "rank": rank,
            "style": STYLES[min(rank, len(STYLES)) - 1],
            "drawn": [shown(member.drawn.get(key)) for key in group.keys],
            "return": number(member.final_return, even=True),
            "agent_steps": f"{member.agent_steps:,}",
            "time": clock(member.seconds),
            "state": member.state,
            "run": member.run.id,
            "page": _page_of(member),
        }
        for rank, setting in enumerate(group.settings, start=1)
        for member in setting.members
    ]
    return render(
        "group.html.j2",
        {
            "experiment": config.get("experiment", group.folder.name),
            "algorithm": config.get("algorithm", ""),
            "env": config.get("env", ""),
            "name": group.name,
            "sentence": sentence(group),
            "window": EPISODE_WINDOW,
            "searched": group.searched,
            "seeded": group.seeded,
            "keys": group.keys,
            "settings": [
                (rank, STYLES[min(rank, len(STYLES)) - 1], settings_text(setting), mean_of(setting))
                for rank, setting in enumerate(group.settings, start=1)
            ],
            "figures": group_figures(group),
            "rows": rows,
        },
    )


def _page_of(member: Summary) -> str:
    """The run's own page, relative to the group's; empty if there is none."""
    page = member.run.path / "report.html"
    return f"{member.run.id}/{page.name}" if page.is_file() else ""


def sentence(group: Group) -> str:
    """The result as text."""
    best = group.settings[0]
    if group.searched:
        best_of = f"{settings_text(best)} has the highest final return"
        return f"Of {len(group.settings)} settings, {best_of}: {mean_of(best)}."
    return f"Final return: {mean_of(best)}."
