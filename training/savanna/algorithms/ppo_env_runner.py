"""RLlib's env runners as PPO uses them: in pieces of limited time, and with a look for NaN."""

from __future__ import annotations

import copy
import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import ray.util
from gymnasium.wrappers.vector import DictInfoToList
from numpy.typing import NDArray
from ray.rllib.env.env_context import EnvContext
from ray.rllib.env.env_runner import ENV_STEP_FAILURE
from ray.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from ray.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

from savanna.algorithms.quick_setup import quick_setup
from savanna.algorithms.sampling import NotFinite, first_not_finite, guarded
from savanna.envs.families import environment_of
from savanna.shield import ignore_instead


class Piece(NamedTuple):
    """What an env runner made in one go."""

    episodes: list[Any] | None  # of its whole fragment, once that is complete
    metrics: Any  # RLlib's
    node: str  # IP address of its machine


def sample_piece(env_runner: Any, seconds: float) -> Any:
    """Its next `Piece`, which takes as long and the step that it is in; or a `Failure`."""
    return guarded(env_runner, lambda: env_runner.sample_piece(seconds))


class _Until(int):
    """So many steps, or fewer once the time is up: RLlib's loop goes on while `made < until`."""

    _end: float

    def __new__(cls, steps: int, seconds: float) -> Self:
        until = super().__new__(cls, steps)
        until._end = time.monotonic() + seconds
        return until

    def __gt__(self, made: int) -> bool:
        return int(self) > made and (not made or time.monotonic() < self._end)


class Piecewise:
    """Mixed into RLlib's env runners."""

    config: Any
    env: Any
    num_envs: int
    worker_index: int | None
    episodes_to_numpy: bool
    _ongoing_episodes: list[Any]

    def __init__(self, **options: Any) -> None:
        quick_setup()
        super().__init__(**options)
        self.pieces: list[list[Any]] = []
        """Episodes of the fragment under way, as they were cut."""

    def sample_piece(self, seconds: float) -> Piece:
        """Go on with the fragment under way for at most `seconds`."""
        self.episodes_to_numpy = False  # arrays cannot be joined
        wanted = self.config.get_rollout_fragment_length(self.worker_index) * self.num_envs
        left = wanted - sum(map(self._steps, self.pieces))
        episodes = self.sample(num_timesteps=_Until(left, seconds))  # type: ignore[attr-defined]
        self.pieces.append(episodes)
        whole = None
        if self._steps(episodes) >= left:
            whole = [episode.to_numpy() for episode in join(self.pieces)]
            self.pieces = []
        metrics = self.get_metrics()  # type: ignore[attr-defined]
        return Piece(whole, metrics, ray.util.get_node_ip_address())

    def _steps(self, episodes: Sequence[Any]) -> int:
        return sum(int(getattr(e, self.config.count_steps_by)()) for e in episodes)

    def _try_env_step(self, actions: Any) -> Any:
        found = super()._try_env_step(actions)  # type: ignore[misc]
        if found != ENV_STEP_FAILURE:
            self._check("an observation", found[0])
            self._check("a reward", found[1])
        return found

    def _try_env_reset(self, **options: Any) -> Any:
        found = super()._try_env_reset(**options)  # type: ignore[misc]
        self._check("an observation", found[0])
        return found

    def _check(self, what: str, values: Any) -> None:
        if isinstance(values, np.ndarray):
            self._refuse(what, values)
            return
        if isinstance(values, dict):  # parts of the observation of one agent
            for name, part in values.items():
                self._refuse(f"{what} ({name})", part)
            return
        for index, of_one in enumerate(values):
            for agent, value in of_one.items():
                self._refuse(f"{what} of {agent}", np.asarray(value)[None], index)

    def _refuse(self, what: str, values: NDArray[Any], first: int = 0) -> None:
        where = first_not_finite(values)
        if where is None:
            return
        index = first + where[0]
        episode = self._ongoing_episodes[index]
        made = episode.env_t if hasattr(episode, "env_t") else episode.t
        when = f"step {made + 1} of an episode" if episode.is_reset else "the reset of an episode"
        raise NotFinite(self.config.env, what, values[where], index, when)


class OneAgentEnvRunner(Piecewise, SingleAgentEnvRunner):
    """Of environments with one agent."""

    def make_env(self) -> None:
        """As all that plays makes them; RLlib would add a checker that steps slowly."""
        if not isinstance(self.config.env, str):
            super().make_env()
            return
        if self.env is not None:
            self.env.close()
        ignore_instead()
        settings = EnvContext(
            self.config.env_config, worker_index=self.worker_index, num_workers=self.num_workers
        )
        environment: Any = environment_of({"env": self.config.env, "env_config": settings})
        self.env = DictInfoToList(environment.vector(self.config.num_envs_per_env_runner))
        self.num_envs = self.env.num_envs
        self._needs_initial_reset = True


class ManyAgentsEnvRunner(Piecewise, MultiAgentEnvRunner):
    """Of environments with several agents."""


def join(pieces: Sequence[Sequence[Any]]) -> list[Any]:
    """The episodes of a fragment as if it had not been cut: in the order in which they ended, then
    those under way."""
    if len(pieces) == 1:
        return [*pieces[0]]
    ended: list[Any] = []
    under_way: dict[str, Any] = {}
    for piece in pieces:
        going: dict[str, Any] = {}
        for episode in piece:
            begun = under_way.pop(episode.id_, None)
            if begun is not None:
                begun.concat_episode(episode)
                for agent, its in getattr(episode, "agent_episodes", {}).items():
                    # RLlib drops it where the agent is terminated, too.
                    begun.agent_episodes[agent].is_truncated = its.is_truncated
            else:
                begun = copy.deepcopy(episode)  # RLlib keeps the pieces, to add up returns
            if begun.is_done:
                ended.append(begun)
            else:
                going[begun.id_] = begun
        under_way |= going
    return ended + list(under_way.values())
