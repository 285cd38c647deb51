"""RLlib's own algorithms, watched as ours are: episodes are reported, iterations end, a failing
environment ends the run with its cause, and checkpoints hold the replay buffer."""

from __future__ import annotations

import functools
from typing import Any

import ray.util
from ray import cloudpickle
from ray.rllib.core import ALL_MODULES
from ray.rllib.execution.rollout_ops import synchronous_parallel_sample
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    LEARNER_RESULTS,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
)

from savanna.algorithms.first_start import StrictGroup
from savanna.algorithms.paced import ITERATION_SECONDS, LEARNED, Paced, set_limits
from savanna.algorithms.ppo import ReportEpisodes
from savanna.algorithms.ppo_env_runner import ManyAgentsEnvRunner, OneAgentEnvRunner, Piecewise
from savanna.algorithms.sampling import Failure, guarded
from savanna.algorithms.shared_checks import limit_problems
from savanna.errors import GaveUp, UsageError

POLL_SECONDS = 0.1
"""How long an algorithm that never waits for samples waits now; RLlib's default of 0 spins."""

REPLAY = "replay"
"""Key of a checkpoint's state: the replay buffer."""


def watched(config: Any) -> Any:
    """`config`, an `AlgorithmConfig`, for its algorithm watched; ours already are."""
    if issubclass(config.algo_class, Paced):
        return config
    kind: Any = type(config)
    made, default = _config_class(kind, config.algo_class)(), vars(kind())
    changed = {k: v for k, v in vars(config).items() if k not in default or v != default[k]}
    vars(made).update({k: v for k, v in changed.items() if k != "algo_class"})
    if "callbacks_class" in changed:
        theirs = changed["callbacks_class"]
        more = theirs if isinstance(theirs, (list, tuple)) else [theirs]
        made.callbacks([ReportEpisodes, *more])
    if "env_runner_cls" in changed:
        made.env_runner_cls = _env_runner_class(changed["env_runner_cls"])
    elif config.is_multi_agent:
        made.env_runner_cls = _env_runner_class(ManyAgentsEnvRunner)
    return made


@functools.cache
def _config_class(kind: Any, algorithm: Any) -> Any:
    """The config class `kind` for the watched `algorithm`."""

    class Config(kind):
        def __init__(self, algo_class: type | None = None) -> None:
            super().__init__()
            self.algo_class = algo_class or watched_algorithm
            self.callbacks(ReportEpisodes)
            self.env_runner_cls = _env_runner_class(OneAgentEnvRunner)
            set_limits(self)
            self.sample_timeout_s: float = ITERATION_SECONDS
            if hasattr(self, "timeout_s_sampler_manager"):
                self.timeout_s_sampler_manager = POLL_SECONDS
            if hasattr(self, "store_buffer_in_checkpoints"):
                self.store_buffer_in_checkpoints = True

        def validate(self) -> None:
            super().validate()
            if problems := limit_problems(self):
                raise UsageError("\n".join(problems))

    default = classmethod(lambda cls: Config())
    watched_algorithm = type(
        algorithm.__name__, (Watched, algorithm), {"get_default_config": default}
    )
    Config.__name__ = Config.__qualname__ = kind.__name__
    return Config


@functools.cache
def _env_runner_class(kind: Any) -> Any:
    bases = (Guarded, kind) if issubclass(kind, Piecewise) else (Guarded, Piecewise, kind)
    return type(kind.__name__, bases, {})


class Guarded:
    """Mixed into RLlib's env runners: an environment that fails makes them return a `GaveUp`. One
    that raises would only be started anew."""

    worker_index: int | None

    def sample(self, **options: Any) -> Any:
        found = guarded(self, lambda: super(Guarded, self).sample(**options))  # type: ignore[misc]
        if isinstance(found, Failure):
            raise found.error
        return found

    def apply(self, func: Any, *args: Any, **kwargs: Any) -> Any:
        def run(env_runner: Any, *args: Any, **kwargs: Any) -> Any:
            return _or_error(lambda: func(env_runner, *args, **kwargs))

        return super().apply(run, *args, **kwargs)  # type: ignore[misc]

    def sample_get_state_and_metrics(self) -> Any:
        return _or_error(super().sample_get_state_and_metrics)  # type: ignore[misc]


def _or_error(function: Any) -> Any:
    try:
        return function()
    except GaveUp as error:
        return error


class WatchedGroup(StrictGroup):
    """RLlib's group, which sets aside what `Guarded` env runners return instead of samples."""

    gave_up: GaveUp | None = None

    def foreach_env_runner(self, *arguments: Any, **options: Any) -> list[Any]:
        return self._good(super().foreach_env_runner(*arguments, **options))

    def foreach_env_runner_async_fetch_ready(self, *arguments: Any, **options: Any) -> list[Any]:
        return self._good(super().foreach_env_runner_async_fetch_ready(*arguments, **options))

    def _good(self, results: list[Any]) -> list[Any]:
        good = []
        for result in results:
            value = result[-1] if isinstance(result, tuple) else result  # (index, value), or value
            if isinstance(value, GaveUp):
                self.gave_up = value
            else:
                good.append(result)
        return good


class Watched(Paced):
    """Mixed into RLlib's algorithms."""

    group_class = WatchedGroup

    def setup(self, config: Any) -> None:
        super().setup(config)
        self._nodes: dict[int, str] = {}  # of env runners
        self._refill = 0  # steps that a replay buffer lacks before learning goes on

    def training_step(self) -> None:
        before = self._sampled()
        try:
            self._fill() if self._refill > 0 else super().training_step()
        except GaveUp as error:  # of the env runner in this process
            self.give_up(error)
            return
        if self.env_runner_group.gave_up is not None:
            self.give_up(self.env_runner_group.gave_up)
        elif self._sampled() > before:
            for index in self.env_runner_group.healthy_env_runner_ids():
                self.supply.arrived(index, self._node_of(index))
        else:
            self.nothing_came("are in one step of their environments, which are slow or hang")

    def end_iteration(self) -> None:
        learned = self.metrics.peek(LEARNER_RESULTS, default={})
        for module, numbers in learned.items():
            if module != ALL_MODULES:
                self.check_learned(module, {k: float(numbers[k]) for k in LEARNED if k in numbers})

    def _fill(self) -> None:
        """Sample into the replay buffer of a resumed run, without learning."""
        before = self._sampled()
        episodes, results = synchronous_parallel_sample(
            worker_set=self.env_runner_group,
            concat=True,
            sample_timeout_s=self.config.sample_timeout_s,
            _uses_new_env_runners=True,
            _return_metrics=True,
        )
        self.metrics.aggregate(results, key=ENV_RUNNER_RESULTS)
        self.local_replay_buffer.add(episodes)
        self._refill -= self._sampled() - before

    def _sampled(self) -> int:
        key = (ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME)
        return int(self.metrics.peek(key, default=0))

    def _node_of(self, index: int) -> str:
        if index not in self._nodes:
            found = self.env_runner_group.foreach_env_runner(
                lambda env_runner: ray.util.get_node_ip_address(),
                remote_worker_ids=[index],
                local_env_runner=False,
                timeout_seconds=self.config.env_runner_restore_timeout_s,
            )
            self._nodes[index] = found[0] if found else ""
        return self._nodes[index]

    def restore_env_runners(self, env_runner_group: Any) -> list[int]:
        restored = super().restore_env_runners(env_runner_group)
        for index in restored:
            self._nodes.pop(index, None)
        return restored

    def get_state(self, components: Any = None, **options: Any) -> dict[str, Any]:
        state: dict[str, Any] = super().get_state(components, **options)
        buffer = self.local_replay_buffer
        if components is None and buffer is not None and self.config.store_buffer_in_checkpoints:
            state[REPLAY] = cloudpickle.dumps(buffer.get_state())
        return state

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        buffer = self.local_replay_buffer
        if buffer is None:
            return
        if REPLAY in state:
            buffer.set_state(cloudpickle.loads(state[REPLAY]))
        else:
            wanted = self.config.num_steps_sampled_before_learning_starts
            self._refill = min(wanted, self._sampled())
