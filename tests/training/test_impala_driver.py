"""Which errors of an env runner the driver goes on after."""

from types import SimpleNamespace

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    ObjectReconstructionFailedError,
    RayTaskError,
)
from ray.rllib.utils.actor_manager import ResultOrError

from training.algorithms.impala.algorithm import Impala


def driver(error, restart=True):
    """An Impala whose only env runner answers with `error`; what it was asked since is kept."""
    asked = []
    manager = SimpleNamespace(
        fetch_ready_async_reqs=lambda **_: [ResultOrError(error=error)],
        foreach_actor_async=lambda name, tag: asked.append(name),
    )
    impala = object.__new__(Impala)
    impala.env_runner_group = SimpleNamespace(_worker_manager=manager)
    impala.config = SimpleNamespace(restart_failed_env_runners=restart)
    impala._fragments = []
    return impala, asked


LOST = (
    ActorDiedError(),
    ActorUnavailableError("gone for now", b"0" * 16),
    NodeDiedError("its node died"),
    # The node died between the end of the sampling and the transfer of the fragment.
    ObjectReconstructionFailedError("0" * 56),
)


@pytest.mark.parametrize("error", LOST, ids=lambda error: type(error).__name__)
def test_a_lost_node_costs_samples_but_not_the_run(error):
    impala, asked = driver(error)
    impala._collect(0)
    assert asked and impala._fragments == []
    with pytest.raises(type(error)):
        driver(error, restart=False)[0]._collect(0)


def test_an_error_inside_an_env_runner_ends_the_run():
    error = RayTaskError("sample_fragment", "traceback", ValueError("bad environment"))
    with pytest.raises(RayTaskError):
        driver(error)[0]._collect(0)
