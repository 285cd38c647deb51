"""After training: evaluate the kept checkpoints, film the best, write the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from savanna.planning.request import Kept
from savanna.runs.directory import RunDirectory
from savanna.runs.group import group_of
from savanna.streams import say

AFTER = (("evaluate", "--checkpoint", "all"), ("video",), ("report",))
"""Commands that make what `finish_all` makes, each for one run."""


def finish_all(runs: Sequence[RunDirectory], kept: Kept) -> None:
    """Finish every run."""
    for run in runs:
        finish(run, kept, f"{run.id}  " if len(runs) > 1 else "")


def show_group(runs: Sequence[RunDirectory], kept: Kept) -> None:
    """Show the table of a group of runs and write its page, whose failure is only a warning."""
    from savanna.recording.group_table import table
    from savanna.report import write_group_page

    asked = max((run.config.get("options", {}).get("runs", 1) for run in runs), default=1)
    group = group_of(runs) if asked > 1 else None
    if group is None:
        return
    try:
        page = write_group_page(group) if kept.report else None
    except Exception as error:
        page = None
        say(f"warning: writing the group page failed: {error}")
    for line in table(group):
        say(line)
    if asked > len(runs):
        say(f"Runs not started: {asked - len(runs)}.")
    if page is not None:
        say(f"  page         {page}")


def finish(run: RunDirectory, kept: Kept, prefix: str = "") -> None:
    """Evaluate, film and report. A step that fails harms neither the run nor the next step."""
    from savanna.evaluation import evaluate, record_video
    from savanna.evaluation.training_films import film_progress
    from savanna.report import write_report

    def attempt(what: str, step: Callable[[], object]) -> None:
        say(f"{prefix}{what} ...")
        try:
            step()
        except Exception as error:
            say(f"{prefix}warning: {what[0].lower()}{what[1:]} failed: {error}")

    def film() -> None:
        record_video(run)
        film_progress(run)  # last: the report shows the newest film

    if run.checkpoints() and kept.evaluate_episodes:
        attempt(
            "Evaluating the kept checkpoints on the same seeds",
            lambda: evaluate(run, "all", episodes=kept.evaluate_episodes),
        )
    if run.checkpoints() and kept.video:
        attempt("Filming the best checkpoint", film)
    if kept.report:
        attempt("Writing the report", lambda: write_report(run))
