"""Films made during training, and one that combines them to show the progress."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from savanna.envs.families import environment_of
from savanna.evaluation.film import Picture, read_film, with_caption, write_film
from savanna.evaluation.team import Team, load_team
from savanna.files import temporary_folder
from savanna.runs.directory import RunDirectory
from savanna.runs.films import film_iteration

SEED = 10_000
"""All films of a run show the same episode, for comparison."""

PROGRESS = "early-middle-final.mp4"


def film_episode(team: Team, config: Mapping[str, Any], path: Path, label: str) -> None:
    """Film one greedy episode to `path`, with a poster beside it."""
    environment = environment_of(config)
    scale, fps = environment.old_scale, environment.frames_per_second()
    shots = list(environment.film(team.act, SEED))
    score = shots[-1].score
    text = f"{label}   return {score:.1f}" + (f" (old {scale(score):.0f})" if scale else "")
    path.parent.mkdir(exist_ok=True)
    write_film(path, (with_caption(shot.picture, text) for shot in shots), fps)


def early_and_middle(videos: Path, before: int) -> list[Path]:
    """The first and the middle training film from before an iteration, if they exist."""
    made = sorted(videos.glob("episode-*.mp4"), key=film_iteration)
    films = [film for film in made if film_iteration(film) < before]
    return [films[0], films[len(films) // 2]] if len(films) > 1 else films


def film_progress(run: RunDirectory) -> Path | None:
    """Film side by side: the first and the middle training film, and the newest checkpoint. None
    if there is no film from before that checkpoint."""
    newest = max(run.checkpoints(), key=lambda checkpoint: checkpoint.iteration)
    chosen = early_and_middle(run.videos, newest.iteration)
    if not chosen:
        return None
    with temporary_folder() as folder:
        final = folder / "final.mp4"
        team = load_team(run.checkpoint_path(newest.number), run.config)
        film_episode(team, run.config, final, "final")
        reels = [read_film(film) for film in (*chosen, final)]
    last = [reel[-1] for reel in reels]

    def frames() -> Iterator[Picture]:
        for pictures in zip_longest(*reels):
            shown = [last[i] if p is None else p for i, p in enumerate(pictures)]
            yield np.concatenate(shown, axis=1)

    path = run.videos / PROGRESS
    write_film(path, frames(), environment_of(run.config).frames_per_second())
    return path
