"""What environments with one agent have in common: many play at once, as Gymnasium vector
environments."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from savanna.envs.environment import Act, Environment, Played, Watch, each

if TYPE_CHECKING:
    import gymnasium as gym
    from gymnasium.vector import VectorEnv

    from savanna.envs.environment import Spaces


class OneAgent(Environment):
    """An environment with one agent."""

    most_at_once: ClassVar[int] = 0
    """How many may play at the same time; 0: any number."""

    @abstractmethod
    def vector(self, num_envs: int) -> VectorEnv[Any, Any, Any]:
        """`num_envs` of them, preprocessed as in training. Each resets in the step after an
        episode's end (NEXT_STEP)."""

    @abstractmethod
    def preprocessing(self) -> dict[str, Any]:
        """How raw observations become the network's input."""

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
        self, players: Iterable[Act], episodes: int, seed: int, explore: bool, watch: Watch
    ) -> Iterator[list[Played]]:
        most = self.most_at_once or episodes
        if episodes > most:
            for act in players:
                yield self._in_turn(act, episodes, seed, explore, watch)
            return
        envs = self.vector(episodes)
        try:
            for act in players:
                yield first_episodes(act, envs, seed, explore, watch)
        finally:
            envs.close()

    def _in_turn(
        self, act: Act, episodes: int, seed: int, explore: bool, watch: Watch
    ) -> list[Played]:
        """The same where so many cannot be played at once."""
        played: list[Played] = []
        while len(played) < episodes:
            done = len(played)
            envs = self.vector(min(self.most_at_once, episodes - done))

            def on(ended: int, steps: int, before: int = done) -> bool:
                return watch(before + ended, steps)

            try:
                played += first_episodes(act, envs, seed + done, explore, on)
            finally:
                envs.close()
        return played

    def observations(self, act: Act, count: int) -> list[Any]:
        """Mixes some random actions into the policy's: legal ones, where there is a mask."""
        import numpy as np

        from savanna.envs.observing import has_mask

        envs = self.vector(4)
        rng = np.random.default_rng(0)
        envs.action_space.seed(0)
        masked = has_mask(envs.single_observation_space)
        now, _ = envs.reset(seed=0)
        seen: list[Any] = []
        while len(seen) * 4 < count:
            seen.append(now)
            for _ in range(8):
                random = act([now], rng)[0] if masked else envs.action_space.sample()
                actions = act([now])[0]
                chosen = rng.random(4) < 0.2
                actions[chosen] = random[chosen]
                now, *_ = envs.step(actions)
        envs.close()
        return [each(lambda *parts: np.concatenate(parts), *seen)]


def first_episodes(
    act: Act, envs: VectorEnv[Any, Any, Any], seed: int, explore: bool, watch: Watch
) -> list[Played]:
    """One episode in every slot.

    A slot counts until its first end. Taking the first episodes to finish would favour short ones.
    Those that are cut count with what they have.
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
        if not watch(count - int(running.sum()), int(lengths.max())):
            break
    ended = zip(returns.tolist(), lengths.tolist(), running.tolist(), strict=True)
    return [Played(total, length, cut=cut) for total, length, cut in ended]
