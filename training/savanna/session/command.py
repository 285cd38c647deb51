"""`train`: one whole `savanna train` command."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path
from typing import Any

from savanna.errors import Interrupted, SavannaError, UsageError
from savanna.experiments import Machine, get_experiment, is_own
from savanna.jobs import phases
from savanna.planning.checks import check_early
from savanna.planning.plan import Plan, make_plan
from savanna.planning.request import TrainRequest
from savanna.planning.resumed_settings import with_saved_settings
from savanna.ray_cluster.machine import this_machine
from savanna.ray_cluster.runtime import (
    address_of,
    check_temporary_folder,
    joined_machine,
    joined_ray,
    machine_at,
    own_ray,
    prepare,
)
from savanna.ray_cluster.workers import await_workers, count_workers
from savanna.runs.directory import RunDirectory
from savanna.runs.owner import owned, refuse_owned
from savanna.runs.resumption import Resumption, resumption_of
from savanna.runs.storage import check_storage, chosen_storage
from savanna.runs.stored import find_anywhere, is_local
from savanna.session.log_file import log_file, quiet
from savanna.session.networks import check_networks
from savanna.session.resumed_group import ResumedGroup, what_is_left
from savanna.session.startup import Startup
from savanna.session.stopping import Stop
from savanna.streams import say


def dry_run(request: TrainRequest) -> dict[str, Any]:
    """`Plan.shown` of the request's plan. Neither starts Ray nor trains."""
    with tempfile.TemporaryDirectory() as folder:
        resumption = None
        if request.resume:
            here = is_local(request.resume, request.runs_root)
            location = None if here else chosen_storage(request.storage)
            root = request.runs_root if location is None else Path(folder)
            resumption, _ = find_anywhere(request.resume, root, location)
            if resumption.run is not None:
                refuse_owned(resumption.run.path)
        address = address_of(request.address)
        _prepare_for_own(request, resumption, address)
        request = with_saved_settings(request, resumption)
        _check(request)
        with quiet(Path(folder) / "log"):
            prepare(get_experiment(request.experiment, request.algorithm).algorithm, address)
            machine = this_machine() if address is None else machine_at(address)
            shown = _plan(request, resumption, machine).shown()
            if request.resume_group:
                shown["notes"] += [what_is_left(request, Path(folder))]
            return shown


def _prepare_for_own(
    request: TrainRequest, resumption: Resumption | None, address: str | None
) -> None:
    """The user's own experiment imports Ray, which has to be prepared before."""
    origin = resumption.origin if resumption else None
    if is_own(request.experiment) or (origin is not None and "source" in origin.config):
        prepare("", address)


def _check(request: TrainRequest) -> None:
    for warning in check_early(request):
        say(f"warning: {warning}")


def _plan(request: TrainRequest, resumption: Resumption | None, machine: Machine) -> Plan:
    """The request's plan; `UsageError` unless it fits the machine and what it resumes."""
    plan = make_plan(request, machine)
    if resumption is not None:
        check_networks(resumption, plan)
    return plan


def train(request: TrainRequest) -> list[RunDirectory]:
    """Train, evaluate the kept checkpoints, film and report. Returns the run directories.

    Raises:
        UsageError: the request is invalid or impossible; nothing was started.
        Interrupted: a signal arrived; the run stopped, with a checkpoint if there was time.
        SavannaError: the run failed. The message is the cause; the run directory is kept.
    """
    began, startup = time.monotonic(), Startup(None if request.own_process else time.time())
    stop = Stop(began, request.max_duration, exits=request.own_process)
    stop.last_words = lambda: _last_words(stop)
    with stop.listen():
        try:
            return _train(request, stop, startup)
        except Interrupted:
            raise
        except KeyboardInterrupt:
            raise _too_early(stop) from None


def _too_early(stop: Stop) -> SavannaError | Interrupted:
    return stop.error(", before training began.")


def _last_words(stop: Stop) -> int:
    """The process is about to exit, and there is no session yet: say and report why."""
    error = _too_early(stop)
    with contextlib.suppress(SavannaError, KeyboardInterrupt), phases.outcome():
        raise error
    say(f"savanna: {error}")
    return 1


def _train(request: TrainRequest, stop: Stop, startup: Startup) -> list[RunDirectory]:
    given, resumption, fetched = request, None, False
    if request.resume:
        location = chosen_storage(request.storage)
        resumption, fetched = find_anywhere(request.resume, request.runs_root, location)
    address = address_of(request.address)
    _prepare_for_own(given, resumption, address)
    request = with_saved_settings(given, resumption)
    _check(request)
    if request.storage:
        check_storage(request.storage)
    if address is None:
        check_temporary_folder()
    if request.workers and not address:
        raise UsageError("--workers waits for nodes of a cluster. Name the cluster with --address.")
    continued = resumption.run if resumption else None
    with (
        owned(continued.path if continued else None) as owner,
        log_file(request.runs_root, continued) as log,
        quiet(log.path),
        contextlib.ExitStack() as stack,
    ):
        if given.resume and continued:  # its last owner may have gone on until now
            resumption = resumption_of(continued, given.resume.partition("@")[2])
            request = with_saved_settings(given, resumption)
        say("Starting Ray ..." if address is None else "Joining the Ray cluster ...")
        prepare(get_experiment(request.experiment, request.algorithm).algorithm, address)
        startup.ended("imports")
        group = ResumedGroup(request, stack) if request.resume_group else None
        if group is not None and group.is_complete:
            say(f"All runs of the group {group.name} that were asked for have succeeded.")
            return group.done
        fetched = fetched or bool(group and request.storage)  # looking for its runs opened it
        if address is None:
            machine = this_machine()
            plan = _plan(request, resumption, machine)
            startup.ended("plan")
            # Remote storage libraries have threads and connections that do not survive a fork;
            # nobody knows what a process of somebody else's has.
            fork = request.own_process and not fetched
            stack.enter_context(own_ray(machine, fork=fork, lost=stop.fail))
        else:
            stack.enter_context(joined_ray(address))
            await_workers(request)
            plan = _plan(request, resumption, joined_machine())
        phases.report("starting", workers=count_workers())
        for note in plan.notes:
            say(note)
        startup.ended("ray")
        from savanna.session.session import Session

        session = Session(request, plan, resumption, owner, stop, log, startup, group)
        try:
            runs = session.run()
            session.finish()
        finally:
            session.close()
        session.conclude()
    return runs
