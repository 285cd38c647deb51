"""mpe2's own worlds behind the same interface: slow, for scenarios without a NumPy version.

If there is one, its `Scenario` still counts and draws, from a copy of mpe2's state.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from savanna.envs.particle.numpy_worlds import check_continuous, check_discrete, list_episodes
from savanna.envs.particle.physics import Array, Physics
from savanna.envs.particle.picture import Disc, draw, shade
from savanna.envs.particle.scenarios.base import Scenario
from savanna.envs.particle.world import AgentSpec, Step


class Mpe2Worlds:
    """`VectorWorlds` of mpe2's parallel environments, stepped one after the other.

    Args:
        kind: the scenario in NumPy; `None` if there is none.
    """

    def __init__(
        self,
        scenario: str,
        kind: Scenario | None,
        num_worlds: int,
        max_cycles: int,
        continuous: bool,
    ) -> None:
        self.scenario, self.kind, self.num_worlds = scenario, kind, num_worlds
        self.max_cycles, self.continuous = max_cycles, continuous
        options = kind.mpe2_options() if kind else {}
        module = mpe2_module(scenario)
        self.envs = [
            module.parallel_env(max_cycles=max_cycles, continuous_actions=continuous, **options)
            for _ in range(num_worlds)
        ]
        first = self.envs[0]
        self.agents = tuple(_spec(first, agent, continuous) for agent in _world(first).agents)
        self._physics = kind.make_physics(num_worlds) if kind else None
        self._counts: Array = np.zeros((len(kind.counts) if kind else 0, num_worlds))
        self._totals = np.zeros_like(self._counts)
        self._returns: Array = np.zeros((len(self.agents), num_worlds))
        self._clock: int | None = None

    def reset(self, seed: int | Sequence[int] | None = None) -> list[NDArray[np.float32]]:
        seeds: Sequence[int | None] = [None] * self.num_worlds
        if isinstance(seed, Sequence):
            seeds = seed
        elif seed is not None:
            seeds = np.random.SeedSequence(seed).generate_state(self.num_worlds).tolist()
        self._totals[...] = 0
        self._returns[...] = 0
        self._clock = 0
        return self._stack([env.reset(seed=s)[0] for env, s in zip(self.envs, seeds, strict=True)])

    def step(self, actions: list[NDArray[Any]]) -> Step:
        if self._clock is None:
            raise ValueError("reset the worlds before the first step")
        check = check_continuous if self.continuous else check_discrete
        checked = check(actions, self.agents, self.num_worlds)
        names = [spec.name for spec in self.agents]
        seen = []
        rewards: Array = np.zeros_like(self._returns)
        for w, env in enumerate(self.envs):
            chosen = {name: checked[i][w] for i, name in enumerate(names)}
            observed, earned, *_ = env.step(chosen)
            seen.append(observed)
            rewards[:, w] = [earned[name] for name in names]
        observations = self._stack(seen)
        self._returns += rewards
        self._clock += 1
        metrics = self._count()
        ended = self._clock >= self.max_cycles
        truncated = np.full(self.num_worlds, ended)
        mine = rewards.T.astype(np.float32, order="C")
        if not ended:
            return Step(observations, mine, truncated, None, [])
        episodes = list_episodes(self._returns, self.max_cycles, metrics)
        return Step(self.reset(), mine, truncated, observations, episodes)

    def _count(self) -> dict[str, Array]:
        """Add this step's counts. Returns the metrics of the episode so far."""
        if self.kind is None:
            return {}
        physics = self._mirror()
        self.kind.score(physics, np.zeros_like(self._returns), self._counts)
        self._totals += self._counts
        return self.kind.metrics(physics, self._totals, self._clock or 1)

    def _mirror(self) -> Physics:
        assert self.kind is not None and self._physics is not None
        for w, env in enumerate(self.envs):
            copy_state(_world(env), self.kind, self._physics, w)
        self.kind.refresh(self._physics)
        return self._physics

    def frame(self, world: int = 0, size: int = 350) -> NDArray[np.uint8]:
        if self._clock is None:
            raise ValueError("reset the worlds before the first picture")
        if self.kind is not None:
            return draw(*self.kind.picture(self._mirror(), world), size)
        theirs = _world(self.envs[world])
        discs = [
            Disc(float(x), float(y), body.size, shade(body.color))
            for body in [*theirs.landmarks, *theirs.agents]
            for x, y in [body.state.p_pos]
        ]
        return draw(discs, [], size)

    def _stack(self, observed: list[dict[str, NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
        return [np.stack([one[spec.name] for one in observed]) for spec in self.agents]


def mpe2_module(scenario: str) -> ModuleType:
    """mpe2's module of a scenario, whatever its version."""
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")  # it would go to stdout
    from mpe2.all_modules import mpe_environments

    found: dict[str, ModuleType] = {
        name.removeprefix("mpe/").rpartition("_v")[0]: module
        for name, module in mpe_environments.items()
    }
    return found[scenario]


def copy_state(theirs: Any, kind: Scenario, physics: Physics, world: int) -> None:
    """Copy the state of an mpe2 world into one of ours; call `Scenario.refresh` afterwards."""
    entities = [*theirs.agents, *theirs.landmarks]
    physics.position[:, :, world] = np.transpose([entity.state.p_pos for entity in entities])
    physics.velocity[:, :, world] = np.transpose([agent.state.p_vel for agent in theirs.agents])
    if kind.words:
        physics.speech[:, :, world] = [agent.state.c for agent in theirs.agents]
    physics.hidden[:, world] = kind.hidden_in(theirs)


def _world(env: Any) -> Any:
    return env.unwrapped.world


def _spec(env: Any, agent: Any, continuous: bool) -> AgentSpec:
    space = env.action_space(agent.name)
    return AgentSpec(
        agent.name,
        "adversary" if getattr(agent, "adversary", False) else "good",
        env.observation_space(agent.name).shape[0],
        0 if continuous else int(space.n),
        space.shape[0] if continuous else 0,
    )
