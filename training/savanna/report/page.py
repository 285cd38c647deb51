"""Writes `report.html`: one self-contained page about one run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from savanna.errors import SavannaError, explained
from savanna.files import replace_text
from savanna.report import facts, figures
from savanna.report.film import newest_film
from savanna.runs.directory import STATES, RunDirectory, is_usual


def write_report(run: RunDirectory) -> Path:
    """Write the report of `run`, finished or not, and return its path.

    Reads only the run directory. Raises `SavannaError` if a file in it is unreadable or the page
    cannot be written.
    """
    return write_page(run.path / "report.html", render_page(run))


def write_page(target: Path, page: str) -> Path:
    """Replace `target` by `page` in one step; `SavannaError` where it cannot be written."""
    try:
        replace_text(target, page)
    except OSError as error:
        raise SavannaError(f"cannot write {explained(error)}") from error
    return target


def render_page(run: RunDirectory) -> str:
    """The page as HTML. The same run directory gives the same text."""
    return render("page.html.j2", _context(run))


def render(template: str, content: dict[str, Any]) -> str:
    """The HTML of a template of this package, filled with `content`."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("savanna.report", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template(template).render(content)


def _context(run: RunDirectory) -> dict[str, Any]:
    config, metadata, status = run.config, run.metadata, run.status
    git = metadata.get("git") or {}
    rows = run.metrics()
    evaluations: list[dict[str, Any]] = run.read_json("evaluations.json", [])
    known_play = facts.references(run)
    target = dict(config.get("stop") or {}).get("return")
    return {
        "experiment": run.experiment,
        "run_id": run.id,
        "algorithm": config.get("algorithm", ""),
        "env": config.get("env", ""),
        "seed": config.get("seed"),
        "state": status["state"] if status.get("state") in STATES else "unknown",
        "reason": status.get("reason") or "",
        "cause": status.get("cause") or "",
        "started": facts.moment(status.get("started") or metadata.get("started")),
        "ended": facts.moment(status.get("ended")),
        "sentence": facts.sentence(run, rows, known_play),
        "tiles": facts.tiles(run, rows, evaluations),
        "returns": figures.return_figures(
            rows,
            references=known_play,
            target=None if target is None else float(target),
            evaluations=[e for e in evaluations if is_usual(e)],
            places={c.number: (c.agent_steps, c.seconds) for c in run.checkpoints()},
        ),
        "sections": [
            (title, found)
            for title, found in (
                ("What the agents do", figures.small_figures(rows, "behaviour")),
                ("Speed and machine", figures.small_figures(rows, "machine")),
                ("Learning", figures.small_figures(rows, "learner")),
            )
            if found
        ],
        "film": newest_film(run),
        "checkpoints": facts.checkpoint_rows(run, evaluations),
        "overrides": facts.pairs(config.get("overrides") or {}),
        "preset": facts.pairs(config.get("preset") or {}),
        "stop": facts.pairs(config.get("stop") or {}),
        "resources": facts.pairs(dict(config.get("resources") or {}) | facts.node_shares(run)),
        "whole_config": json.dumps(config, indent=2, ensure_ascii=False),
        "versions": facts.pairs(
            {"savanna": metadata.get("savanna", "unknown"), **dict(metadata.get("versions") or {})}
        ),
        "commit": str(git.get("sha") or ""),
        "dirty": bool(git.get("dirty")),
        "machine": facts.machine(metadata),
        "commands": facts.commands(run),
    }
