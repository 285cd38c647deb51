"""The class Ray Tune runs: an RLlib algorithm that can go on from a checkpoint of another run."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savanna.session.films import FILM, Filmer
from savanna.session.networks import hand_out_networks, load_networks
from savanna.session.search_space import apply_drawn
from savanna.session.startup import TrialStartup

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

    from savanna.runs.directory import CheckpointInfo

DRAWN = "drawn"
"""Key of Tune's config: {setting: what the search drew for it}."""


def make_trainable(
    algorithm: type[Algorithm],
    restore_from: str | None,
    counters: CheckpointInfo | None,
    last_number: int = -1,
    film_every: int = 0,
) -> type[Algorithm]:
    """`algorithm`, starting from the checkpoint folder `restore_from` where one is given.

    `counters` are those of that checkpoint; without them all begins anew but the networks. New
    checkpoints are numbered after `last_number` and after those in the storage. A folder that this
    node lacks is taken from there. With `film_every` the results hold a film every so many episodes
    (see `savanna.session.films`).
    """

    class Trainable(algorithm):
        def __init__(self, config: Any = None, **options: Any) -> None:
            super().__init__(_with_drawn(algorithm, config), **options)

        @classmethod
        def default_resource_request(cls, config: Any) -> Any:
            return super().default_resource_request(_with_drawn(algorithm, config))

        def train(self) -> dict[str, Any]:
            result: dict[str, Any] = super().train()
            film = self._filmer.film(self, result) if self._filmer else {}
            return result | ({FILM: film} if film else {}) | self._startup.take()

        def setup(self, config: Any) -> None:
            from savanna.algorithms.quick_setup import quick_setup

            quick_setup()
            self._startup = TrialStartup()
            self._filmer = Filmer(film_every) if film_every else None
            super().setup(config)
            self._startup.built(self)
            if restore_from is not None:
                with _folder_here(restore_from, self._storage) as folder:
                    if counters is None:
                        load_networks(self, Path(folder))
                    else:
                        self.load_checkpoint(folder)
                        self._iteration = counters.iteration
                        self._time_total = counters.seconds
                hand_out_networks(self)
            if self._storage is not None:
                self._storage.current_checkpoint_index = max(
                    self._storage.current_checkpoint_index, last_number, _last_number(self._storage)
                )

    Trainable.__name__ = Trainable.__qualname__ = algorithm.__name__
    return Trainable


def _with_drawn(algorithm: type[Algorithm], config: Any) -> Any:
    """Tune's config with the drawn settings in their places, nested ones too."""
    if not isinstance(config, dict) or DRAWN not in config:
        return config
    rest = {key: value for key, value in config.items() if key != DRAWN}
    whole = algorithm.get_default_config().update_from_dict(rest)
    apply_drawn(whole, config[DRAWN])
    return whole.to_dict()


@contextlib.contextmanager
def _folder_here(folder: str, storage: Any) -> Iterator[str]:
    """`folder`, or a copy of what the trial's storage has of that name."""
    if Path(folder).is_dir() or storage is None:
        yield folder
        return
    import pyarrow.fs

    with tempfile.TemporaryDirectory() as copy:
        pyarrow.fs.copy_files(
            f"{storage.trial_fs_path}/{Path(folder).name}",
            copy,
            source_filesystem=storage.storage_filesystem,
            destination_filesystem=pyarrow.fs.LocalFileSystem(),
        )
        yield copy


def _last_number(storage: Any) -> int:
    """The highest number of a checkpoint in the trial's folder; -1 without any."""
    import pyarrow.fs

    selector = pyarrow.fs.FileSelector(storage.trial_fs_path, allow_not_found=True)
    names = [f.base_name for f in storage.storage_filesystem.get_file_info(selector)]
    numbers = [int(m[1]) for name in names if (m := re.fullmatch(r"checkpoint_(\d+)", name))]
    return max(numbers, default=-1)
