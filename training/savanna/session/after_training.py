"""After training: evaluate the kept checkpoints, film the best, write the report."""

from __future__ import annotations

from collections.abc import Callable

from savanna.runs.directory import RunDirectory
from savanna.session.request import Kept


def finish(run: RunDirectory, kept: Kept, say: Callable[[str], None]) -> None:
    """Each step may fail without harm to the run or to the next step."""

    def attempt(what: str, step: Callable[[], object]) -> None:
        say(f"{what} ...")
        try:
            step()
        except Exception as error:
            say(f"warning: {what[0].lower()}{what[1:]} failed: {error}")

    def evaluate() -> None:
        from savanna.evaluation import evaluate

        evaluate(run, "all", episodes=kept.evaluate_episodes)

    def video() -> None:
        from savanna.evaluation import record_video
        from savanna.evaluation.training_films import film_progress

        record_video(run)
        film_progress(run)  # the newest: the report shows it

    def report() -> None:
        from savanna.report import write_report

        write_report(run)

    if run.checkpoints() and kept.evaluate_episodes:
        attempt("Evaluating the kept checkpoints on the same seeds", evaluate)
    if run.checkpoints() and kept.video:
        attempt("Filming the best one", video)
    if kept.report:
        attempt("Writing the report", report)
