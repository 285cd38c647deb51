"""The one call of Ray Tune."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savanna.runs.resumption import last_number
from savanna.session.search_space import parse_search_space
from savanna.session.trainable import DRAWN, make_trainable

if TYPE_CHECKING:
    from savanna.runs.storage import Storage
    from savanna.session.command import _Session

_STATE_FILES = (
    "experiment_state-*",
    "basic-variant-state-*",
    "searcher-state-*",
    "trainable.pkl",
    "tuner.pkl",
    ".validate_storage_marker",
)


def run_tune(session: _Session) -> None:
    """Run the session's trials to their end; their failures do not raise."""
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # ours asks for a checkpoint first
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # ours record
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    from ray import tune

    from savanna.session.waiting import Waiting

    request, plan, resumption = session.request, session.plan, session.resumption
    config: dict[str, Any] = plan.config.to_dict()
    if request.search:
        config[DRAWN] = {k: parse_search_space(k, text) for k, text in request.search.items()}
    continued = resumption.run if resumption else None
    trainable = make_trainable(
        plan.config.algo_class,
        restore_from=str(resumption.checkpoint) if resumption else None,
        counters=resumption.counters if resumption else None,
        last_number=last_number(continued) if continued else -1,
        film_every=plan.film_every,
    )
    storage = session.storage
    root = str(session.folder.parent) if storage is None else storage.path
    name = session.folder.name if storage is None else plan.experiment.name
    try:
        tune.run(
            trainable,
            name=name,
            storage_path=root,
            storage_filesystem=None if storage is None else storage.filesystem,
            config=config,
            stop=_Here(session.recording.should_stop),
            num_samples=request.num_samples,
            checkpoint_config=tune.CheckpointConfig(
                num_to_keep=plan.kept.keep,
                checkpoint_score_attribute="env_runners/episode_return_mean",
                checkpoint_score_order="max",
                checkpoint_frequency=plan.kept.checkpoint_freq,
                checkpoint_at_end=plan.kept.checkpoint_at_end,
            ),
            callbacks=[session.recording, Waiting(session.terminal)],
            max_failures=plan.kept.max_failures,
            trial_dirname_creator=_Here(session.name_of),
            raise_on_failed_trial=False,
            verbose=0,
        )
    finally:
        # Resuming goes by the run's own files; Tune's would only pile up beside the runs.
        for pattern in _STATE_FILES:
            for file in Path(session.folder).glob(pattern):
                file.unlink(missing_ok=True)
        if storage is not None:
            _delete_state(storage, name)


def _delete_state(storage: Storage, experiment: str) -> None:
    """Delete Tune's files beside the runs in the storage; a failure there costs nothing."""
    import pyarrow.fs

    selector = pyarrow.fs.FileSelector(f"{storage.path}/{experiment}", allow_not_found=True)
    with contextlib.suppress(OSError):
        for file in storage.filesystem.get_file_info(selector):
            # The last pattern is the marker that runs starting now may be looking for.
            if any(fnmatch(file.base_name, pattern) for pattern in _STATE_FILES[:-1]):
                storage.filesystem.delete_file(file.path)


class _Here:
    """A function of this process. Tune copies and pickles what it is given; a session has threads
    and files, so copies are the thing itself and pickles are empty (Tune's state is not used)."""

    def __init__(self, function: Callable[..., Any] | None) -> None:
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        assert self._function is not None, "called outside the process that made it"
        return self._function(*arguments)

    def __deepcopy__(self, memo: dict[int, Any]) -> _Here:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return (_Here, (None,))
