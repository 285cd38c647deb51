"""Films of policies, without a screen."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np

from savanna.envs.environment import Act, Environment, Shot
from savanna.envs.families import environment_of
from savanna.errors import SavannaError, explained
from savanna.evaluation.film import Picture, with_caption, write_film
from savanna.evaluation.team import Team, load_team
from savanna.evaluation.threads import one_thread
from savanna.files import make_writable
from savanna.runs.checkpoints import CheckpointInfo
from savanna.runs.directory import RunDirectory

LONGEST_SECONDS = 90
PANES = 4


def record_video(
    run: RunDirectory,
    which: str = "best",
    *,
    all_checkpoints: bool = False,
    seed: int = 10_000,
    max_steps: int | None = None,
) -> Path:
    """Film one episode to `videos/*.mp4` (H.264, plays in browsers).

    With `all_checkpoints`, up to four checkpoints from first to last play the same seed side by
    side; those that finish early stay still. A film ends with the episode, after `max_steps` agent
    steps, or after 90 seconds.
    """
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # lets pygame run without a screen
    os.environ.setdefault("SDL_AUDIODRIVER", "dummy")
    chosen = _spread(run.checkpoints()) if all_checkpoints else [run.checkpoint(which)]
    if not chosen:
        run.checkpoint(which)  # says that there is none
    try:
        make_writable(run.videos)
    except OSError as error:
        raise SavannaError(
            f"cannot write {explained(error)}. Copy the run's folder to where you may write, and "
            "film the copy."
        ) from error
    config = run.config
    environment = environment_of(config)
    fps = environment.frames_per_second()
    limit = min(max_steps or 10**9, LONGEST_SECONDS * fps)
    teams = [load_team(run.checkpoint_path(c.number), config) for c in chosen]
    shots = [film_of(environment, team, seed) for team in teams]
    name = "all-checkpoints" if all_checkpoints else f"checkpoint-{chosen[0].number:06d}"
    path = run.videos / f"{name}.mp4"
    with one_thread():
        write_film(path, _frames(shots, chosen, limit), fps)
    return path


def film_of(environment: Environment, team: Team, seed: int) -> Iterator[Shot]:
    """An episode, played as evaluation plays."""
    act: Act = team.act
    if environment.evaluated_with_draws:
        act = partial(team.act, rng=np.random.default_rng(seed))
    return environment.film(act, seed)


def _spread(checkpoints: list[CheckpointInfo]) -> list[CheckpointInfo]:
    """At most `PANES` of them, evenly spaced, including the first and the last."""
    if len(checkpoints) <= PANES:
        return checkpoints
    picks = np.linspace(0, len(checkpoints) - 1, PANES).round().astype(int)
    return [checkpoints[i] for i in picks]


def _frames(
    shots: list[Iterator[Shot]], chosen: list[CheckpointInfo], limit: int
) -> Iterator[Picture]:
    captions = [f"{c.agent_steps / 1000:,.0f}k steps trained" for c in chosen]
    current: list[Shot | None] = [None] * len(shots)
    for _ in range(limit + 1):
        moved = False
        for index, iterator in enumerate(shots):
            shot = next(iterator, None)
            if shot is not None:
                current[index], moved = shot, True
        if not moved:
            return
        panes = [
            with_caption(shot.picture, f"{trained}   score {shot.score:+.0f}")
            for trained, shot in zip(captions, current, strict=True)
            if shot is not None
        ]
        yield np.concatenate(panes, axis=1)
