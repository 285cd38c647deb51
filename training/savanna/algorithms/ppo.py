"""RLlib's PPO, but it reports episodes as our algorithms do and resumes where it was."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from ray import cloudpickle
from ray.rllib.algorithms import ppo
from ray.rllib.callbacks.callbacks import RLlibCallback
from ray.rllib.core import ALL_MODULES
from ray.rllib.core.rl_module.rl_module import RLModuleSpec
from ray.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    LEARNER_RESULTS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_MODULE_STEPS_TRAINED_LIFETIME,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
)

from savanna.algorithms.continuation import pack_env_runner, unpack_env_runner
from savanna.algorithms.episode import Episode
from savanna.algorithms.paced import LEARNED, Paced, set_limits
from savanna.algorithms.ppo_env_runner import OneAgentEnvRunner, sample_piece
from savanna.algorithms.ppo_learner import PPOLearner
from savanna.algorithms.sampling import SAMPLE, Failure
from savanna.algorithms.shared_checks import UNREAD, limit_problems
from savanna.algorithms.tally import report
from savanna.envs.rllib_world import MEASURED
from savanna.errors import UsageError
from savanna.modules.network import DEFAULTS, Network, settings_problems

PACK_SECONDS = 10.0
"""How long a checkpoint waits for env runners; one in a slow step will start new episodes."""

PIECE_SECONDS = 2.0
"""How long an env runner samples before it says how far it is."""
WAIT_SECONDS = 1.0
"""How long the driver waits for that before it looks whether the iteration is to end."""

ENV_RUNNERS = "env_runners"
SAMPLED = "sampled"


class ReportEpisodes(RLlibCallback):
    """Reports every episode that ends, whole: it may have begun in an earlier iteration."""

    def on_episode_end(
        self, *, episode: Any, prev_episode_chunks: Any, metrics_logger: Any, **kwargs: Any
    ) -> None:
        total = float(sum(chunk.get_return() for chunk in [*prev_episode_chunks, episode]))
        if not hasattr(episode, "agent_episodes"):
            report(metrics_logger, Episode(total, episode.t))
            return
        measured: dict[str, float] = {}
        for info in episode.get_infos(-1).values():
            measured |= info.get(MEASURED, {})
        report(metrics_logger, Episode(total, episode.env_t, measured))


class PPO(Paced, ppo.PPO):
    """Samples a batch with the env runners in step, one fragment of each at a time, and loses none
    of it however slow they are. An iteration ends after an update, or by time in between.

    Its checkpoints hold what is sampled of the next batch, and the episodes under way where
    environments can be saved.
    """

    def setup(self, config: Any) -> None:
        self._batch: list[Any] = []  # episodes
        self._round: dict[int, list[Any]] = {}  # env runner -> episodes of its next fragment
        self._pieces: list[tuple[int, Any]] = []  # env runner -> metrics to be counted
        self._updated = False
        super().setup(config)

    def training_step(self) -> None:
        """RLlib's, but for the sampling, and a short wait where it takes long."""
        self._updated = False
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)):
            self._collect()
        if self._steps(self._batch) < self.config.total_train_batch_size:
            return
        episodes, self._batch = self._batch, []
        sampled = self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME))
        trained = (LEARNER_RESULTS, ALL_MODULES, NUM_MODULE_STEPS_TRAINED_LIFETIME)
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            results = self.learner_group.update(
                episodes=episodes,
                timesteps={
                    NUM_ENV_STEPS_SAMPLED_LIFETIME: sampled,
                    NUM_MODULE_STEPS_TRAINED_LIFETIME: self.metrics.peek(trained, default=0),
                },
                num_epochs=self.config.num_epochs,
                minibatch_size=self.config.minibatch_size,
                shuffle_batch_per_epoch=self.config.shuffle_batch_per_epoch,
            )
            self.metrics.aggregate(results, key=LEARNER_RESULTS)
        for module, stats in results[0].items():
            numbers = {name: float(stats[name].peek()) for name in LEARNED if name in stats}
            self.check_learned(module, numbers)
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_weights(
                from_worker_or_learner_group=self.learner_group,
                policies=set(results[0]) - {ALL_MODULES},
                inference_only=True,
            )
        self._updated = True

    def unfinished(self) -> bool:
        return not self._updated

    def end_iteration(self) -> None:
        self._count()

    def _collect(self) -> None:
        """Let those that lack a fragment in this round go on, and take in what is there."""
        if self.config.num_env_runners == 0:
            self._take(0, sample_piece(self.env_runner, PIECE_SECONDS))
            self._end_round([0])
            return
        manager = self.env_runner_group._worker_manager
        healthy = manager.healthy_actor_ids()
        busy = self._busy()
        idle = [i for i in healthy if i not in busy and i not in self._round]
        if idle:
            if not busy:
                self.supply.wait()
            options = {"seconds": PIECE_SECONDS}
            manager.foreach_actor_async(
                sample_piece, tag=SAMPLE, kwargs=options, remote_actor_ids=idle
            )
        if not self._fetch(WAIT_SECONDS):
            self.nothing_came("are in one step of their environments, which are slow or hang")
        if not self._busy():
            self._end_round(manager.healthy_actor_ids())

    def _busy(self) -> set[int]:
        """The env runners that sample."""
        manager = self.env_runner_group._worker_manager
        states = manager._remote_actor_states.items()
        return {i for i, state in states if state.get_num_in_flight_requests(SAMPLE)}

    def _fetch(self, timeout: float) -> bool:
        """Take in pieces that are there within `timeout` seconds; whether one was."""
        manager = self.env_runner_group._worker_manager
        results = manager.fetch_ready_async_reqs(tags=SAMPLE, timeout_seconds=timeout)
        for result in results:
            if result.ok:
                self._take(result.actor_id, result.get())
            else:
                self.note_lost(result.actor_id, result.get())
        return bool(results)

    def _take(self, env_runner: int, piece: Any) -> None:
        if isinstance(piece, Failure):
            self.give_up(piece.error)
            return
        self.supply.arrived(env_runner, piece.node)
        self._pieces.append((env_runner, piece.metrics))
        if piece.episodes is not None:
            self._round[env_runner] = piece.episodes

    def _end_round(self, env_runners: Iterable[int]) -> None:
        """Where all have made their fragments they are a part of the batch, in a fixed order."""
        if self._round and self._round.keys() >= set(env_runners):
            for _, episodes in sorted(self._round.items()):
                self._batch += episodes
            self._round = {}
            self._count()

    def _count(self) -> None:
        """Let the metrics have what the pieces say, in a fixed order: steps as they are made."""
        pieces = [metrics for _, metrics in sorted(self._pieces, key=lambda piece: piece[0])]
        self._pieces = []
        if pieces:
            self.metrics.aggregate(pieces, key=ENV_RUNNER_RESULTS)

    def _steps(self, episodes: Iterable[Any]) -> int:
        return sum(int(getattr(e, self.config.count_steps_by)()) for e in episodes)

    @classmethod
    def get_default_config(cls) -> PPOConfig:
        return PPOConfig()

    def get_state(self, components: Any = None, **kwargs: Any) -> dict[str, Any]:
        if components is None:
            end = time.monotonic() + PACK_SECONDS
            while self._busy() and time.monotonic() < end:  # what comes now is not in their state
                self._fetch(WAIT_SECONDS)
            self._count()
        state: dict[str, Any] = super().get_state(components, **kwargs)
        if components is None:
            sampled = [e for _, episodes in sorted(self._round.items()) for e in episodes]
            state[SAMPLED] = cloudpickle.dumps(self._batch + sampled)
            state[ENV_RUNNERS] = self._packed()
        return state

    def _packed(self) -> dict[int, dict[str, Any]]:
        """Env runner -> what its episodes need to go on; none of one that is in a slow step."""
        busy, healthy = self._busy(), self.env_runner_group.healthy_env_runner_ids()
        idle = [i for i in healthy if i not in busy]
        if self.config.num_env_runners > 0 and not idle:  # RLlib takes none for all
            return {}
        packed = self.env_runner_group.foreach_env_runner(
            pack_env_runner, remote_worker_ids=idle, timeout_seconds=PACK_SECONDS
        )
        return {index: content for index, content in packed if content}

    def set_state(self, state: dict[str, Any]) -> None:
        super().set_state(state)
        sampled = self.metrics.peek((ENV_RUNNER_RESULTS, NUM_ENV_STEPS_SAMPLED_LIFETIME), default=0)
        self.learner_group.foreach_learner(lambda learner: learner.set_schedules(sampled))
        self._batch = cloudpickle.loads(state[SAMPLED]) if SAMPLED in state else []
        self._round, self._pieces = {}, []
        packed = state.get(ENV_RUNNERS, {})
        self.env_runner_group.foreach_env_runner(
            lambda env_runner: unpack_env_runner(env_runner, packed)
        )


class PPOConfig(ppo.PPOConfig):
    """Configures `PPO`; its settings are RLlib's. With a `DefaultModelConfig` so is its network:
    that of several agents, and of runs made before we had one of our own."""

    def __init__(self, algo_class: type | None = None) -> None:
        super().__init__(algo_class=algo_class or PPO)
        self.callbacks(ReportEpisodes)
        self.env_runner_cls = OneAgentEnvRunner
        # Its connectors have nothing to share, and asking would wait for a slow step.
        self._dont_auto_sync_env_runner_states = True
        # Our network's actions are those of the environment.
        self.normalize_actions = self.clip_actions = False
        set_limits(self)

    def get_default_learner_class(self) -> type:
        return PPOLearner

    def get_default_rl_module_spec(self) -> Any:
        return (
            super().get_default_rl_module_spec() if self._rllibs_network else RLModuleSpec(Network)
        )

    @property
    def _model_config_auto_includes(self) -> dict[str, Any]:
        return super()._model_config_auto_includes | ({} if self._rllibs_network else DEFAULTS)

    @property
    def _rllibs_network(self) -> bool:
        """Whether the settings are those of a `DefaultModelConfig`, perhaps read back from JSON."""
        model = self._model_config
        return not isinstance(model, dict) or "fcnet_kernel_initializer" in model

    def validate(self) -> None:
        super().validate()
        default = vars(ppo.PPOConfig())
        problems = [
            f"{name} is not read by PPO: {UNREAD[name]}."
            for name in ("metrics_num_episodes_for_smoothing", "sample_timeout_s")
            if vars(self)[name] != default[name]
        ]
        if not self._rllibs_network:
            problems += settings_problems(self.model_config)
        if problems := problems + limit_problems(self):
            raise UsageError("\n".join(problems))
