"""Particle worlds: several agents, with one network per agent or per kind of agent."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from savanna.envs.environment import Act, Environment, Played, Shot, Watch
from savanna.errors import UsageError

if TYPE_CHECKING:
    import gymnasium as gym
    from numpy.typing import NDArray

    from savanna.envs.environment import Spaces
    from savanna.envs.particle.world import Episode, OldScale, VectorWorlds

ENV_CONFIG: dict[str, Any] = {
    "num_agents": None,
    "num_adversaries": None,
    "local_ratio": None,
    "max_cycles": 25,
    "continuous": False,
    "backend": "auto",
}
"""Keywords of `savanna.envs.particle.make.make_worlds`, and their defaults."""

EVALUATION = 2**32 - 1
"""Keeps evaluation seeds apart from those that training draws."""

MOVES = "stay, left, right, down, up; one that also speaks: 5 x word + move"
STRENGTHS = "strengths of stay (no effect), left, right, down, up, then of words, each in 0..1"


class Particle(Environment):
    what, train_words = "a particle world", "particle --scenario"
    filmed_in_training = True
    exported = "model.json"

    @classmethod
    def recognises(cls, name: str) -> bool:
        from savanna.envs.particle.options import MPE2_ONLY
        from savanna.envs.particle.scenarios import SCENARIOS

        return name in SCENARIOS or name in MPE2_ONLY

    def check(self) -> list[str]:
        from savanna.envs.particle.make import make_worlds

        known = {name: value for name, value in self.settings.items() if name in ENV_CONFIG}
        make_worlds(self.name, 1, **known)
        return []

    @property
    def task(self) -> dict[str, Any]:
        from savanna.envs.particle.scenarios import SCENARIOS

        given = {**ENV_CONFIG, **self.settings}
        agents, adversaries = given["num_agents"], given["num_adversaries"]
        if self.name in SCENARIOS:
            count = SCENARIOS[self.name].count(agents, adversaries)
            agents, adversaries = count.agents, count.adversaries
        ratio = given["local_ratio"]
        return {
            "num_agents": agents,
            "num_adversaries": adversaries,
            "local_ratio": 0.5 if ratio is None else ratio,
            "max_cycles": given["max_cycles"],
        }

    @property
    def description(self) -> str:
        text = "{num_agents} agents, {max_cycles} steps, local ratio {local_ratio:g}"
        return f"{self.name} with {text.format_map(self.task)}"

    @property
    def old_scale(self) -> OldScale | None:
        from savanna.envs.particle.world import old_scale

        if any(isinstance(v, str) for name, v in self.settings.items() if name != "backend"):
            return None  # a search space: the scale may differ per run
        task = self.task
        return old_scale(self.name, task["num_agents"], task["max_cycles"], task["local_ratio"])

    @property
    def shown(self) -> dict[str, str]:
        return {"actions": "continuous" if self.settings.get("continuous") else "discrete"}

    def references(self) -> dict[str, float]:
        from savanna.envs.particle.references import mean_returns

        return mean_returns(self._worlds)

    @property
    def agents(self) -> tuple[str, ...]:
        return self.networks(shared=False)

    def networks(self, *, shared: bool) -> tuple[str, ...]:
        from savanna.envs.particle.world import module_names

        return module_names(self._worlds(1).agents, shared=shared)

    def model_file(self, network: str) -> str:
        return f"{network}.onnx"

    def spaces(self) -> list[Spaces]:
        return [agent.spaces for agent in self._worlds(1).agents]

    def export_description(self, networks: list[dict[str, Any]]) -> dict[str, Any]:
        agents = self._worlds(1).agents
        return {
            "env_config": self.settings,
            "agents": {a.name: network for a, network in zip(agents, networks, strict=True)},
            "actions": MOVES if agents[0].num_actions else STRENGTHS,
            "preprocessing": {"steps": ["none: observations as mpe2 gives them"]},
        }

    def make(self, render_mode: str | None = None) -> gym.Env[Any, Any]:
        raise UsageError(f"{self.name} is {self.what}; check-env needs a single-agent environment.")

    def make_as_trained(self, render_mode: str | None = None) -> Any:
        from savanna.envs.particle.make import make_worlds
        from savanna.envs.particle.mpe2_worlds import Mpe2Worlds

        if render_mode is not None:
            raise UsageError(f"{self.name}: films come from `savanna video`, not from render().")
        worlds = make_worlds(self.name, 1, **{**self.settings, "backend": "mpe2"})
        assert isinstance(worlds, Mpe2Worlds)
        return worlds.envs[0]

    def play(
        self, players: Iterable[Act], episodes: int, seed: int, explore: bool, watch: Watch
    ) -> Iterator[list[Played]]:
        """Episodes are short: none is cut."""
        import numpy as np

        for act in players:
            rng = np.random.default_rng(seed) if explore else None
            worlds = self._worlds(episodes)
            observations = worlds.reset(episode_seeds(seed, episodes))
            ended: list[Episode] = []
            while not ended:
                step = worlds.step(act(observations, rng))
                observations, ended = step.observations, step.episodes
            yield [Played(sum(e.returns), e.length, e.metrics) for e in ended]

    def film(self, act: Act, seed: int) -> Iterator[Shot]:
        """An ended world has already reset: the last picture repeats that of the step before."""
        worlds = self._worlds(1)
        observations = worlds.reset(episode_seeds(seed, 1))
        score, steps, over = 0.0, 0, False
        while not over:
            picture = worlds.frame()
            yield Shot(picture, steps, score)
            step = worlds.step(act(observations))
            observations, over = step.observations, bool(step.episodes)
            score, steps = score + float(step.rewards.sum()), steps + 1
        yield Shot(picture, steps, score)

    def frames_per_second(self) -> int:
        return 8

    def observations(self, act: Act, count: int) -> list[NDArray[Any]]:
        import numpy as np

        worlds = self._worlds(8)
        seen = [worlds.reset(0)]
        while len(seen) * worlds.num_worlds < count:
            step = worlds.step(act(seen[-1], np.random.default_rng(0)))
            seen.append(step.observations)
        return [np.concatenate(parts) for parts in zip(*seen, strict=True)]

    def _worlds(self, count: int) -> VectorWorlds:
        from savanna.envs.particle.make import make_worlds

        return make_worlds(self.name, count, **self.settings)


def episode_seeds(seed: int, count: int) -> list[int]:
    """Seeds of worlds that play the episodes `seed`, `seed + 1`, ...: independent of `count`, and
    different from those of a run that trains with one of these numbers as its seed."""
    from numpy.random import SeedSequence

    numbers = [SeedSequence([EVALUATION, seed + i]) for i in range(count)]
    return [int(number.generate_state(1)[0]) for number in numbers]
