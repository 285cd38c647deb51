"""The one call to Ray Tune, and the algorithm as Tune runs it."""

from __future__ import annotations

import math
import os
import sys
import time
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from savanna.algorithms.supply import saying_while
from savanna.algorithms.tally import Tally
from savanna.envs.families import environment_of
from savanna.errors import GaveUp, SavannaError
from savanna.files import temporary_folder
from savanna.metrics import OLD_SCALE, TALLY, IterationResult
from savanna.old_names import old_names
from savanna.planning.search_space import apply_drawn, draws, parse_search_space
from savanna.runs import owner
from savanna.runs.checkpoints import checkpoints_in, delete_all_but_best, path_of, write_checkpoint
from savanna.runs.directory import RunDirectory
from savanna.runs.notes import Message, tell
from savanna.session.films import FILM, Filmer
from savanna.session.local_function import LocalFunction, local_scheduler, local_stopper
from savanna.session.networks import hand_out_networks, load_networks
from savanna.session.startup import TrialStartup

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm import Algorithm

    from savanna.session.session import Session

DRAWN = "drawn"
"""Key of Tune's config: {setting: what the search drew for it}."""


def run_tune(session: Session) -> None:
    """Run the session's trials to their end; a trial that fails raises nothing here.

    Tune starts and ends trials, and draws a search's values. Its results folder is temporary:
    trials save into their runs themselves.
    """
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # ours asks for a checkpoint first
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # ours record
    os.environ["TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S"] = "0"
    os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
    from ray import tune

    from savanna.ray_cluster.waiting import Waiting

    plan, resumption = session.plan, session.resumption
    config: dict[str, Any] = plan.config.to_dict()
    if plan.search:
        config[DRAWN] = {k: parse_search_space(k, text) for k, text in plan.search.items()}
    begins = resumption is not None and resumption.run is None
    trainable = make_trainable(
        plan.config.algo_class,
        session.opening.folder,
        keep=plan.kept.keep,
        networks=resumption.checkpoint if resumption and begins else None,
        film_every=plan.film_every,
        seconds=plan.stop.get("seconds", math.inf),
    )
    with temporary_folder("tune-") as scratch:
        tune.run(
            trainable,
            name="tune",
            storage_path=str(scratch),
            config=config,
            stop=local_stopper(session.recording.should_stop, session.recording.none_is_left),
            num_samples=plan.samples,
            search_alg=draws(plan.seed, session.opening.is_done),
            checkpoint_config=tune.CheckpointConfig(
                checkpoint_frequency=plan.kept.checkpoint_freq,
                checkpoint_at_end=plan.kept.checkpoint_at_end,
            ),
            callbacks=[session.recording, Waiting()],
            scheduler=local_scheduler(session.recording.may_try_again),
            trial_dirname_creator=LocalFunction(session.opening.name_of),
            raise_on_failed_trial=False,
            verbose=0,
            progress_reporter=tune.CLIReporter(),  # a notebook's would clear the cell's output
        )


def make_trainable(
    algorithm: type[Algorithm],
    folder: Path,
    *,
    keep: int,
    networks: Path | None = None,
    film_every: int = 0,
    seconds: float = math.inf,
) -> type[Algorithm]:
    """`algorithm`, whose trials are the runs in `folder` with the same names.

    A trial continues from its run's newest checkpoint, at the first start as after a failure. If
    there is none, it starts anew, from the checkpoint `networks` if given. It saves into its run
    and keeps the best `keep` checkpoints. With `film_every`, a result holds a film every so many
    episodes (see `savanna.session.films`). `seconds` of training time end the run. Without Tune,
    `folder` is the run.
    """

    class Trainable(algorithm):
        _owner: str | None = None  # the ID of our command, once it owns the run

        def __init__(self, config: Any = None, **options: Any) -> None:
            super().__init__(_with_drawn(algorithm, config), **options)

        @classmethod
        def default_resource_request(cls, config: Any) -> Any:
            return super().default_resource_request(_with_drawn(algorithm, config))

        def setup(self, config: Any) -> None:
            from savanna.algorithms.quick_setup import quick_setup

            quick_setup()
            self._startup = TrialStartup()
            self._tally = Tally()
            self._filmer = Filmer(film_every) if film_every else None
            self._run = folder / self._storage.trial_dir_name if self._storage else folder
            if not self._run.is_dir():
                raise SavannaError(
                    f"the cluster's head has no folder {self._run}: start the command on the head, "
                    "as `savanna submit` does, or set --runs-root to a folder that both share."
                )
            self.stop_asked = RunDirectory(self._run).stop_request.exists
            patience = config.max_time_s_per_iteration
            with saying_while("Env runners have been starting", self.say, patience):
                super().setup(config)
            self._startup.built(self)
            scale = environment_of(vars(self.config)).old_scale
            self._old_scale = {OLD_SCALE: astuple(scale)} if scale else {}
            checkpoints = checkpoints_in(self._run)
            if checkpoints:
                newest = checkpoints[-1]
                with old_names():
                    self.load_checkpoint(str(path_of(self._run, newest.number)))
                self._iteration, self._time_total = newest.iteration, newest.seconds
            elif networks is not None:
                load_networks(self, networks)
            if checkpoints or networks is not None:
                hand_out_networks(self)

        def say(self, text: str, *, problem: bool = False) -> None:
            super().say(text, problem=problem)
            tell(self._run, Message(text, problem))

        def seconds_left(self) -> float:
            return seconds - float(self._time_total)

        def step(self) -> dict[str, Any]:
            began = time.monotonic()
            result: dict[str, Any] = super().step()
            # Tune would take the time of day, which may be set while it trains.
            result["time_this_iter_s"] = time.monotonic() - began
            return result

        def train(self) -> dict[str, Any]:
            self._owner = self._owner or (owner.read(self._run) or {}).get("id")
            if self.trouble is not None:
                self._save_last()
            result: dict[str, Any] = super().train()
            self._tally.update(result)
            result.update(self._old_scale)
            self._recorded = result
            film = self._filmer.film(self, result) if self._filmer else {}
            return result | ({FILM: film} if film else {}) | self._startup.take()

        def save(self, checkpoint_dir: str | None = None) -> Any:
            """Write the checkpoint that Tune asks for into the run, and tell Tune where it is."""
            owner.insist(self._run, self._owner)
            from ray.train._internal.session import _TrainingResult
            from ray.tune import Checkpoint
            from ray.tune.result import TRAINING_ITERATION

            broken = self.broken_weights()
            if broken is not None:
                there = checkpoints_in(self._run)
                kept = f"checkpoint {there[-1].number} is the last good one" if there else "none"
                raise GaveUp(
                    f"The networks hold NaN or infinite weights ({broken}) and are not saved; "
                    f"{kept}."
                )
            with RunDirectory(self._run).writing():
                info = write_checkpoint(
                    self._run,
                    IterationResult.from_rllib(self._recorded),
                    lambda partial: self.save_checkpoint(str(partial)),
                )
            delete_all_but_best(self._run, keep)
            saved = Checkpoint.from_directory(str(path_of(self._run, info.number)))
            return _TrainingResult(saved, {TRAINING_ITERATION: info.iteration})

        def _save_last(self) -> None:
            """Before the run fails: what it has learned since its last checkpoint."""
            there = checkpoints_in(self._run)
            if there and there[-1].iteration == self.iteration:
                return
            try:
                self.save()
            except (GaveUp, OSError) as error:
                print(f"no last checkpoint: {error}", file=sys.stderr)

        def restore(self, checkpoint_path: Any) -> None:
            """Do nothing: `setup` has loaded the newest checkpoint."""

        def get_state(self, *arguments: Any, **options: Any) -> dict[str, Any]:
            return super().get_state(*arguments, **options) | {TALLY: self._tally.state()}

        def set_state(self, state: dict[str, Any]) -> None:
            super().set_state(state)
            older = {
                "episodes": state.get("episodes", ()),
                "total": self.metrics.peek(("env_runners", "num_episodes_lifetime"), default=0),
                "steps": None,
            }
            self._tally.restore(state.get(TALLY, older))

    Trainable.__name__ = Trainable.__qualname__ = algorithm.__name__
    return Trainable


def _with_drawn(algorithm: type[Algorithm], config: Any) -> Any:
    """Tune's config with the drawn settings applied, nested ones too."""
    if not isinstance(config, dict) or DRAWN not in config:
        return config
    rest = {key: value for key, value in config.items() if key != DRAWN}
    whole = algorithm.get_default_config().update_from_dict(rest)
    apply_drawn(whole, config[DRAWN])
    return whole.to_dict()
