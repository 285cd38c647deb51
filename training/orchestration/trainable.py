"""The class Ray Tune runs: an RLlib algorithm that can go on from a checkpoint of another run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

    from training.run_directory import CheckpointInfo


def make_trainable(
    algorithm: type[Algorithm], restore_from: str | None, counters: CheckpointInfo | None
) -> type[Algorithm]:
    """`algorithm`, starting from the checkpoint folder `restore_from` where one is given.

    `counters` are those of that checkpoint; without them counting begins anew, with the
    checkpoint's weights. New checkpoints are numbered after those that the run has already.
    """

    class Trainable(algorithm):
        def setup(self, config: Any) -> None:
            super().setup(config)
            if restore_from is not None:
                self.load_checkpoint(restore_from)
                if counters is not None:
                    self._iteration = counters.iteration
                    self._time_total = counters.seconds
            if self._storage is not None:
                self._storage.current_checkpoint_index = max(
                    self._storage.current_checkpoint_index, _last_number(self._storage)
                )

    Trainable.__name__ = Trainable.__qualname__ = algorithm.__name__
    return Trainable


def _last_number(storage: Any) -> int:
    """The highest number of a checkpoint in the trial's folder; -1 without any."""
    import pyarrow.fs

    selector = pyarrow.fs.FileSelector(storage.trial_fs_path, allow_not_found=True)
    names = [f.base_name for f in storage.storage_filesystem.get_file_info(selector)]
    numbers = [int(m[1]) for name in names if (m := re.fullmatch(r"checkpoint_(\d+)", name))]
    return max(numbers, default=-1)
