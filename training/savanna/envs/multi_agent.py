"""Particle worlds as experiments know them, and as RLlib's own algorithms take them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from savanna.envs.particle.world import AgentSpec, OldScale, VectorWorlds

ENV_CONFIG: dict[str, Any] = {
    "num_agents": None,
    "num_adversaries": None,
    "local_ratio": None,
    "max_cycles": 25,
    "continuous": False,
    "backend": "auto",
}
"""Keywords of `savanna.envs.particle.make_worlds`, and what they are unless given."""


DEFAULT_RATIO = 0.5


def is_particle(env: object) -> bool:
    """Whether `env` is the name of a particle world."""
    from savanna.envs.particle.options import MPE2_ONLY
    from savanna.envs.particle.scenarios import SCENARIOS

    return env in SCENARIOS or env in MPE2_ONLY


@dataclass(frozen=True)
class Task:
    """What decides how large the returns of a particle world are; `None`: as mpe2 makes it."""

    scenario: str
    agents: int | None  # adversaries included
    adversaries: int | None
    local_ratio: float
    max_cycles: int


def task_of(scenario: str, env_config: Mapping[str, Any]) -> Task:
    """The task of a world, defaults filled in."""
    from savanna.envs.particle.scenarios import SCENARIOS

    settings = {**ENV_CONFIG, **env_config}
    agents, adversaries = settings["num_agents"], settings["num_adversaries"]
    if scenario in SCENARIOS:
        count = SCENARIOS[scenario].count(agents, adversaries)
        agents, adversaries = count.agents, count.adversaries
    ratio = settings["local_ratio"]
    ratio = DEFAULT_RATIO if ratio is None else ratio
    return Task(scenario, agents, adversaries, ratio, settings["max_cycles"])


def worlds_of(config: Mapping[str, Any], num_worlds: int) -> VectorWorlds:
    """`num_worlds` worlds of a run's `config.json`."""
    from savanna.envs.particle.world import make_worlds

    return make_worlds(config["env"], num_worlds, **config.get("env_config", {}))


def module_names(agents: Sequence[AgentSpec], *, shared: bool) -> tuple[str, ...]:
    """Per agent the name of its network: its own name, or that of the first of its kind.

    Agents of one role and team with equal observations and actions are of one kind. The role is
    in the name: `alice_0` and `bob_0` of simple_crypto see as much, but not the same.
    """
    if not shared:
        return tuple(agent.name for agent in agents)
    kinds = [
        (a.name.rpartition("_")[0], a.team, a.observation_size, a.num_actions, a.action_size)
        for a in agents
    ]
    return tuple(agents[kinds.index(kind)].name for kind in kinds)


def check_world(scenario: str, given: Mapping[str, Any]) -> None:
    """`UsageError` that lists what is wrong with a scenario's name or options."""
    from savanna.envs.particle.world import make_worlds

    make_worlds(scenario, 1, **{k: v for k, v in given.items() if k in ENV_CONFIG})


def old_scale_of(config: Mapping[str, Any]) -> OldScale | None:
    """How returns of a run's environment read on the retired service's scale, where known."""
    if not is_particle(config.get("env")):
        return None
    from savanna.envs.particle.world import old_scale

    settings = {**ENV_CONFIG, **(config.get("env_config") or {})}
    ratio = settings["local_ratio"]
    return old_scale(
        str(config["env"]),
        settings["num_agents"],
        settings["max_cycles"],
        DEFAULT_RATIO if ratio is None else ratio,
    )


def register_particle(scenario: str) -> str:
    """Make the world known to RLlib under its name, for algorithms of RLlib."""
    from ray.tune.registry import register_env

    from savanna.envs.rllib_world import RLlibWorld

    register_env(scenario, lambda settings: RLlibWorld(scenario, dict(settings)))
    return scenario
