"""Starting Ray on this machine, or joining a cluster."""

from __future__ import annotations

import contextlib
import gc
import importlib
import logging
import os
import shutil
import socket
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from savanna.errors import Interrupted, SavannaError, UsageError, explained
from savanna.experiments import Machine
from savanna.files import make_writable
from savanna.forks.template import forked_workers, import_ray
from savanna.ray_cluster.machine import visible_gpus
from savanna.ray_cluster.processes import handlers_left_alone, own_processes
from savanna.shield import shielded

OBJECT_STORE_BYTES = 512 * 2**20
"""Of a local Ray. A train batch has 4 to 15 MB, and few are in flight at once."""

_MODULES = {
    "IMPALA": "savanna.algorithms.impala.learner",
    "MADDPG": "savanna.algorithms.maddpg.learner",
    "PPO": "ray.rllib.algorithms.ppo",
    "DQN": "ray.rllib.algorithms.dqn.torch.dqn_torch_learner",
    "SAC": "ray.rllib.algorithms.sac.torch.sac_torch_learner",
    "APPO": "ray.rllib.algorithms.appo.torch.appo_torch_learner",
}
"""What an algorithm's processes import; the user's own imports what it needs."""


def address_of(given: str | None) -> str | None:
    """The Ray cluster to join; `None` to start Ray here, for this command only.

    A cluster that this process has already joined or started comes first, then `given`, then the
    variable `RAY_ADDRESS`, then (as in Ray itself) the cluster that this machine is a node of.
    "local" means none.
    """
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return str(ray.get_runtime_context().gcs_address)
    address = given or os.environ.get("RAY_ADDRESS") or running_here()
    return None if address == "local" else address


def prepare(algorithm: str, address: str | None) -> None:
    """Import RLlib as its processes need it, for our own Ray or for a cluster.

    On a machine without GPUs, worker processes are forks of this one (see `savanna.forks`). CUDA
    does not survive a fork, so elsewhere each worker imports what it needs.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if os.environ.get("RAY_AUTH_TOKEN_PATH") or Path("~/.ray/auth_token").expanduser().is_file():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # Ray does so only for a cluster it starts
    # Set before ray is imported. Workers get the priority of this process.
    os.environ.setdefault("RAY_worker_niceness", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address is None:
        os.environ.pop("RAY_ADDRESS", None)
    gc.disable()  # it would rescan all imported objects: a fifth of the time
    try:
        with shielded():  # libraries start threads; the main one must get the signals
            if address is None and not visible_gpus():
                import_ray()
            importlib.import_module("ray.rllib.algorithms.algorithm")
            if algorithm in _MODULES:
                importlib.import_module(_MODULES[algorithm])
            from savanna.algorithms.quick_setup import quick_setup

            quick_setup()
        gc.freeze()  # imported objects stay
    finally:
        gc.enable()


_SOCKET_PATH = 107  # bytes that Linux allows


def check_temporary_folder() -> None:
    """`UsageError` where Ray could not work in the folder for temporary files."""
    name = "RAY_TMPDIR" if "RAY_TMPDIR" in os.environ else "TMPDIR"
    folder = Path(os.environ.get(name, "/tmp"))
    session = f"session_{datetime.now():%Y-%m-%d_%H-%M-%S_%f}_{os.getpid()}"
    longest = len(os.fsencode(folder / "ray" / session / "sockets" / "plasma_store"))
    if longest > _SOCKET_PATH:
        raise UsageError(
            f"{name}={folder} is {longest - _SOCKET_PATH} letters too long for the sockets that "
            f"Ray makes there. Set {name} to a shorter folder, such as /tmp."
        )
    try:
        make_writable(folder / "ray")
    except OSError as error:
        raise UsageError(
            f"cannot write {explained(error)}. Ray needs it: set {name} to a folder with room."
        ) from error


@contextlib.contextmanager
def own_ray(
    machine: Machine, *, fork: bool, lost: Callable[[str], None] = lambda cause: None
) -> Iterator[None]:
    """Ray on this machine within the block, with token authentication (Ray's default).

    With `fork`, its worker processes are forks of this one if `prepare` made that possible.
    `lost(cause)` is called in a thread if Ray ends while the block runs.
    The folder with its own logs and sockets is deleted afterwards, unless the block failed.
    """
    import ray

    with contextlib.ExitStack() as afterwards, contextlib.ExitStack() as stack:
        if fork:
            stack.enter_context(forked_workers())
        stack.enter_context(own_processes(lost))
        stack.callback(_shutdown)
        try:
            with handlers_left_alone():
                ray.init(
                    num_cpus=machine.cpus,
                    num_gpus=machine.gpus,
                    include_dashboard=False,
                    log_to_driver=True,
                    logging_level=logging.ERROR,
                    object_store_memory=OBJECT_STORE_BYTES,
                )
        except (OSError, RuntimeError, ValueError) as error:
            raise SavannaError(f"could not start Ray: {_first_line(error)}") from error
        folder = ray._private.worker._global_node.get_session_dir_path()
        afterwards.push(partial(_delete_unless_failed, folder))
        yield


@contextlib.contextmanager
def joined_ray(address: str) -> Iterator[None]:
    """The Ray cluster at `address`, joined within the block."""
    import ray

    if ray.is_initialized():
        yield
        return
    try:
        _probe(address)
        with handlers_left_alone():
            ray.init(address, log_to_driver=True, logging_level=logging.ERROR)
    except (OSError, RuntimeError, ValueError) as error:
        raise _not_joined(address, error) from error
    try:
        yield
    finally:
        _shutdown()


def joined_machine() -> Machine:
    """What the joined cluster offers now."""
    import ray

    return _machine([node["Resources"] for node in ray.nodes() if node["Alive"]])


def machine_at(address: str) -> Machine:
    """What the cluster at `address` offers now, without joining it."""
    from ray.util.state import list_nodes
    from ray.util.state.exception import RayStateApiException

    try:
        _probe(address)
        nodes = list_nodes(address, limit=10_000, detail=True, raise_on_missing_output=False)
    except (OSError, RuntimeError, ValueError, RayStateApiException) as error:
        raise _not_joined(address, error) from error
    return _machine([n["resources_total"] for n in nodes if n["state"] == "ALIVE"])


def _machine(resources: Sequence[Mapping[str, float]]) -> Machine:
    cpus, gpus = (sum(r.get(kind, 0) for r in resources) for kind in ("CPU", "GPU"))
    nodes = tuple(int(each.get("CPU", 0)) for each in resources)
    return Machine(cpus=int(cpus), gpus=int(gpus), nodes=nodes)


def _not_joined(address: str, error: BaseException) -> UsageError:
    return UsageError(f"could not join the Ray cluster at {address}: {_first_line(error)}")


def _delete_unless_failed(folder: str, kind: type[BaseException] | None, *_: object) -> None:
    """Ray would leave it in the temporary folder for good, one for every command."""
    if kind is None or issubclass(kind, Interrupted | KeyboardInterrupt):
        shutil.rmtree(folder, ignore_errors=True)


def _shutdown() -> None:
    import ray

    # Where another thread collects garbage meanwhile, a reference into Ray that it finds
    # makes Ray end the whole process.
    gc.collect()
    gc.disable()
    try:
        ray.shutdown()
    finally:
        gc.enable()
        registry = sys.modules.get("ray.tune.registry")
        if registry is not None:
            # Of the job that has ended: what the next one registers would not be found.
            registry._global_registry._prefix = None


def running_here() -> str | None:
    """The address of the cluster that `ray start` made this machine part of, if it answers."""
    file = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        address = file.read_text().strip()
        _probe(address)
    except OSError:
        return None
    return address or None


def _probe(address: str) -> None:
    """`OSError` immediately if nothing listens; Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host, int(port)), timeout=10).close()


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
