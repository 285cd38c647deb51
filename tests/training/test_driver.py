"""The driver: a slow learner loses no sample, and after which errors it continues."""

import contextlib
from collections import Counter
from types import SimpleNamespace

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    NodeDiedError,
    ObjectReconstructionFailedError,
    RayTaskError,
)
from ray.rllib.algorithms.algorithm import Algorithm
from ray.rllib.utils.actor_manager import CallResult, ResultOrError

from savanna.algorithms.impala.algorithm import Impala
from savanna.algorithms.maddpg.algorithm import MADDPG
from savanna.algorithms.sampling import SAMPLE, Failure
from savanna.algorithms.supply import Supply


def supply(count):
    return Supply(count, patience=30, limit=600, say=print)


def driver(answer, restart=True):
    """An Impala whose only env runner answers with `answer`; what it was asked since is kept."""
    asked = []
    manager = SimpleNamespace(
        fetch_ready_async_reqs=lambda **_: [CallResult(1, answer, tag=SAMPLE)],
        foreach_actor_async=lambda function, tag: asked.append(function),
    )
    impala = object.__new__(Impala)
    impala.env_runner_group = SimpleNamespace(
        _worker_manager=manager, healthy_env_runner_ids=lambda: [1]
    )
    impala.supply = supply(1)
    impala.config = SimpleNamespace(restart_failed_env_runners=restart, num_env_runners=1)
    impala._fragments = []
    impala._ended = []
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
    impala, asked = driver(ResultOrError(error=error))
    impala._collect(0)
    assert asked and impala._fragments == []
    with pytest.raises(type(error)):
        driver(ResultOrError(error=error), restart=False)[0]._collect(0)


def test_an_error_inside_an_env_runner_ends_the_run():
    impala, _ = driver(ResultOrError(result=Failure("bad environment")))
    impala._collect(0)
    assert str(impala.trouble) == "bad environment" and impala._fragments == []
    error = RayTaskError("sample_fragment", "traceback", ValueError("bad environment"))
    with pytest.raises(RayTaskError):
        driver(ResultOrError(error=error))[0]._collect(0)


class Runners:
    """Env runners that always have a fragment ready."""

    def __init__(self, count, most):
        self.under_way, self.most, self.asked = [0] * count, most, 0

    def fetch_ready_async_reqs(self, **_):
        done = sum(self.under_way)
        self.under_way = [0] * len(self.under_way)
        return [CallResult(1, ResultOrError(result=Fragment()), tag=SAMPLE) for _ in range(done)]

    def foreach_actor_async(self, function, tag):
        free = [n < self.most for n in self.under_way]
        self.asked += sum(free)
        self.under_way = [n + f for n, f in zip(self.under_way, free, strict=True)]


class Fragment(list):
    episodes, node = (), "here"

    def __init__(self):
        super().__init__(range(10))


@pytest.mark.parametrize("kind", [Impala, MADDPG])
@pytest.mark.parametrize("per_batch", [1, 3])
def test_a_slow_learner_learns_from_every_sample_and_none_pile_up(kind, per_batch):
    """Four env runners at full speed; at most two fragments of each are unused."""
    runners, learned = Runners(4, most=2), []
    algorithm = object.__new__(kind)
    algorithm.env_runner_group = SimpleNamespace(
        _worker_manager=runners,
        sync_weights=lambda **_: None,
        healthy_env_runner_ids=lambda: [1, 2, 3, 4],
    )
    algorithm.supply = supply(4)
    algorithm.learner_group = SimpleNamespace(
        _learner=SimpleNamespace(learned={}),
        update=lambda episodes, timesteps: learned.extend(episodes),
    )
    algorithm.metrics = SimpleNamespace(
        log_time=lambda key: contextlib.nullcontext(),
        peek=lambda key, default: default,
        aggregate=lambda results, key: None,
        log_value=lambda key, value, **how: None,
    )
    algorithm.config = SimpleNamespace(num_env_runners=4, fragments_per_batch=per_batch)
    algorithm._fragments = []
    algorithm._ended = []
    algorithm._steps_by_node = Counter()
    for _ in range(100):
        algorithm.training_step()
        assert len(algorithm._fragments) <= 2 * 4
        assert all(runners.under_way), "an env runner waits while the learner works"
    assert len(learned) >= 99 * per_batch
    assert runners.asked - len(learned) <= 2 * 2 * 4


def test_a_second_restore_replaces_what_the_first_brought(monkeypatch):
    """As in a trial that is resumed, fails and is retried."""
    monkeypatch.setattr(Algorithm, "set_state", lambda self, state: None)
    algorithm = object.__new__(MADDPG)
    algorithm._steps_by_node = Counter()
    for steps in (1000, 1500):
        algorithm.set_state({"steps_by_node": {"a": steps}})
    assert algorithm._steps_by_node == {"a": 1500}
