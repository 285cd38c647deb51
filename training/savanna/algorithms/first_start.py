"""Env runners that cannot be made end the run, although lost ones are restarted."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

from ray.exceptions import RayActorError
from ray.rllib.algorithms import algorithm
from ray.rllib.env.env_runner_group import EnvRunnerGroup

from savanna.errors import MayPass, SavannaError


class StrictGroup(EnvRunnerGroup):
    """RLlib's group. Where lost env runners are restarted, that one logs those which were never
    made, and goes on without them, or fails with an `IndexError` where that is all of them."""

    def add_workers(self, num_workers: int, validate: bool = False) -> None:
        super().add_workers(num_workers, validate=False)
        if not validate:
            return
        for result in self._worker_manager.foreach_actor(lambda runner: runner.assert_healthy()):
            error = None if result.ok else result.get()
            if isinstance(error, RayActorError) and error.actor_init_failed:
                raise MayPass(not_made(error))
            if error is not None and not self._ignore_ray_errors_on_env_runners:
                raise error


def not_made(error: Any) -> str:
    """Which env runner could not be made, where, and why."""
    task: Any = error.args[0] if error.args else None
    where = f" (process {task.pid}) on node {task.ip}" if hasattr(task, "pid") else ""
    cause = getattr(task, "cause", error)
    said = cause if isinstance(cause, SavannaError) else f"{type(cause).__name__}: {cause}"
    return " ".join(f"An env runner{where} could not be made: {said}".split())[:2000]


@contextlib.contextmanager
def strict_start(group: type[StrictGroup] = StrictGroup) -> Iterator[None]:
    """In the block algorithms have a `StrictGroup`, or a `group` of that kind."""
    with mock.patch.object(algorithm, "EnvRunnerGroup", group):
        yield
