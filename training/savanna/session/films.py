"""Films made during training, where the networks are. The result carries them to the run."""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from savanna.files import replacing
from savanna.metrics import TALLY
from savanna.runs.directory import RunDirectory

FILM = "film"
"""Key of the result: {file name: content}."""


class Filmer:
    """Films every `every`-th episode of the first world; a failed film is only logged."""

    def __init__(self, every: int) -> None:
        self._every, self._done = every, -1

    def film(self, algorithm: Any, result: Mapping[str, Any]) -> dict[str, bytes]:
        """The film due after this iteration, as {file name: content}; empty if none is due."""
        config = algorithm.config
        worlds = config.num_envs_per_env_runner * max(1, config.num_env_runners)
        episodes = result[TALLY]["episodes"] // worlds
        due = episodes // self._every
        if due == self._done:
            return {}
        self._done = due
        try:
            return _make(algorithm, episodes, int(result["training_iteration"]))
        except Exception as error:  # a film must not stop training
            cause = " ".join(str(error).split())  # ffmpeg's errors have several lines
            print(f"no film of episode {episodes}: {cause}", file=sys.stderr, flush=True)
            return {}


def _make(algorithm: Any, episodes: int, iteration: int) -> dict[str, bytes]:
    from savanna.evaluation.team import team_of
    from savanna.evaluation.training_films import film_episode

    with tempfile.TemporaryDirectory() as folder:
        # After resuming with more env runners, episodes per world count back; iterations never do.
        path = Path(folder) / f"episode-{episodes:07d}-iteration-{iteration:06d}.mp4"
        film_episode(team_of(algorithm), vars(algorithm.config), path, f"episode {episodes:,}")
        return {file.name: file.read_bytes() for file in sorted(Path(folder).iterdir())}


def keep_film(run: RunDirectory, result: dict[str, Any]) -> bool:
    """Move the result's film into the run directory. Returns whether there was one.

    A film that cannot be written is logged, and its files are deleted.
    """
    files: Mapping[str, bytes] = result.pop(FILM, {})  # else Tune would keep and write it
    try:
        for name, content in files.items():
            run.videos.mkdir(exist_ok=True)
            with replacing(run.videos / name) as temporary:
                temporary.write_bytes(content)
    except OSError as error:
        print(f"could not save a film: {error}", file=sys.stderr, flush=True)
        for name in files:
            with contextlib.suppress(OSError):
                (run.videos / name).unlink()
        return False
    return bool(files)
