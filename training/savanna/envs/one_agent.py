"""What environments with one agent have in common: they are played many at once, as Gymnasium's
vector environments."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from savanna.envs.environment import Act, Environment, Played

if TYPE_CHECKING:
    import gymnasium as gym
    from gymnasium.vector import VectorEnv
    from numpy.typing import NDArray

    from savanna.envs.environment import Spaces


class OneAgent(Environment):
    """An environment with one agent."""

    @abstractmethod
    def vector(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        """So many of them, preprocessed as in training. All reset in the step after an episode's
        end (NEXT_STEP)."""

    @abstractmethod
    def preprocessing(self) -> dict[str, Any]:
        """How what it shows becomes what the network sees."""

    def export_description(self, networks: list[dict[str, Any]]) -> dict[str, Any]:
        [network] = networks
        check = dict(network["check"])
        check["largest_logit_difference"] = check.pop("largest_difference")
        parts = {"input": network["input"], "outputs": network["outputs"], "check": check}
        return parts | {"preprocessing": self.preprocessing()}

    def spaces(self) -> list[Spaces]:
        envs = self.vector(1)
        envs.close()
        return [(envs.single_observation_space, envs.single_action_space)]

    def make_as_trained(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        return self.make(render_mode)

    def play(
        self, players: Iterable[Act], episodes: int, seed: int, explore: bool
    ) -> Iterator[list[Played]]:
        envs = self.vector(episodes)
        try:
            for act in players:
                yield first_episodes(act, envs, seed, explore)
        finally:
            envs.close()

    def observations(self, act: Act, count: int) -> list[NDArray[Any]]:
        """Some random actions are among the policy's."""
        import numpy as np

        envs = self.vector(4)
        rng = np.random.default_rng(0)
        now, _ = envs.reset(seed=0)
        seen: list[NDArray[Any]] = []
        choices = int(envs.action_space.nvec[0])  # type: ignore[attr-defined]
        while len(seen) * 4 < count:
            seen.append(now)
            for _ in range(8):
                random = rng.integers(0, choices, 4)
                actions = np.where(rng.random(4) < 0.2, random, act([now])[0])
                now, *_ = envs.step(actions)
        envs.close()
        return [np.concatenate(seen)]


def first_episodes(
    act: Act, envs: VectorEnv[Any, Any, Any], seed: int, explore: bool
) -> list[Played]:
    """One episode in every slot.

    A slot counts until its first end. Taking the first episodes to finish of many would favour
    short ones.
    """
    import numpy as np

    count = envs.num_envs
    rng = np.random.default_rng(seed) if explore else None
    observations, _ = envs.reset(seed=seed)
    returns, lengths = np.zeros(count), np.zeros(count, int)
    running = np.ones(count, bool)
    while running.any():
        actions = act([observations], rng)[0]
        observations, rewards, terminated, truncated, _ = envs.step(actions)
        returns += rewards * running
        lengths += running
        running &= ~(terminated | truncated)
    return [Played(*one) for one in zip(returns.tolist(), lengths.tolist(), strict=True)]
