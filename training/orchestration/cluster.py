"""Starting a local Ray, or joining one that runs."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from training.errors import SavannaError, UsageError
from training.experiments import Machine

OBJECT_STORE_BYTES = 512 * 2**20
"""Of a local Ray. A train batch is 4 to 15 MB and few are under way at once."""


@contextlib.contextmanager
def ray_cluster(
    address: str | None, algorithm: str, joined: Callable[[], object] | None = None
) -> Iterator[Machine]:
    """Ray while in the block, and what it offers.

    `address` (or the variable `RAY_ADDRESS`) names a running cluster to join. Without either, the
    one this machine is a node of is joined, as Ray itself does; where there is none, or with the
    address "local", a local Ray is started, with token authentication as Ray does by default, and
    ended with the block. `algorithm` is what its processes are to import at once.
    `joined` is called before the machine is looked at: it may wait for nodes.
    """
    address = address or os.environ.get("RAY_ADDRESS") or running_here()
    if address == "local":
        os.environ.pop("RAY_ADDRESS", None)
        address = None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if os.environ.get("RAY_AUTH_TOKEN_PATH") or Path("~/.ray/auth_token").expanduser().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray does so only for a Ray of its own
    # Set before ray is imported: workers as urgent as this process.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    # RLlib takes seconds to import: here while Ray starts, in its workers while we go on here.
    os.environ.setdefault("RAY_preload_python_modules", ",".join(_modules(algorithm)))
    importing = threading.Thread(target=_import, args=(_modules(algorithm),), daemon=True)
    importing.start()
    import ray

    started = not ray.is_initialized()
    try:
        if address:
            _probe(address)
        if started and address:
            ray.init(address, log_to_driver=True, logging_level=logging.ERROR)
        elif started:
            ray.init(
                num_cpus=_usable_cpus(),
                include_dashboard=False,
                log_to_driver=True,
                logging_level=logging.ERROR,
                object_store_memory=OBJECT_STORE_BYTES,
            )
    except (OSError, RuntimeError, ValueError) as error:
        what = f"join the Ray cluster at {address}" if address else "start Ray"
        kind = UsageError if address else SavannaError
        raise kind(f"could not {what}: {_first_line(error)}") from error
    importing.join()
    try:
        if joined is not None:
            joined()
        resources = ray.cluster_resources()
        yield Machine(cpus=int(resources.get("CPU", 0)), gpus=int(resources.get("GPU", 0)))
    finally:
        if started:
            # Where another thread collects garbage meanwhile, a reference into Ray that it finds
            # makes Ray end the whole process.
            gc.collect()
            gc.disable()
            try:
                ray.shutdown()
            finally:
                gc.enable()


def check_fits(machine: Machine, env_runners: int, gpus: float, cpus_per_runner: float) -> None:
    """`UsageError` where Tune would wait for ever for resources that do not exist."""
    if gpus > machine.gpus:
        raise UsageError(
            f"{gpus:g} GPU asked for, {machine.gpus} there. Train on the CPU with --num-gpus 0."
        )
    needed = 1 + env_runners * cpus_per_runner
    if needed > machine.cpus and not (machine.cpus == 1 and env_runners <= 1):
        most = int((machine.cpus - 1) / cpus_per_runner) if cpus_per_runner else env_runners
        raise UsageError(
            f"{env_runners} env runners need {needed:g} CPUs, one of them for the learner; there "
            f"are {machine.cpus}. Use at most --num-env-runners {max(0, most)}."
        )


def _usable_cpus() -> int:
    """CPUs this process may run on: a container's or a task set's limit counts."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def running_here() -> str | None:
    """The address of the Ray that `ray start` made this machine a node of, if it answers."""
    file = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        address = file.read_text().strip()
        _probe(address)
    except OSError:
        return None
    return address or None


def _probe(address: str) -> None:
    """`OSError` at once where nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def _modules(algorithm: str) -> list[str]:
    own = {
        "IMPALA": "training.algorithms.impala.learner",
        "MADDPG": "training.algorithms.maddpg.learner",
        "PPO": "ray.rllib.algorithms.ppo",
    }
    return ["ray.rllib.algorithms.algorithm", own[algorithm]]


def _import(modules: list[str]) -> None:
    with contextlib.suppress(Exception):  # the real import reports what is wrong
        for module in modules:
            importlib.import_module(module)


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
