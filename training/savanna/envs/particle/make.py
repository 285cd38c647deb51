"""`make_worlds` creates particle worlds.

worlds = make_worlds("simple_spread", 64)
observations = worlds.reset(seed=0)
step = worlds.step([np.zeros(64, np.int64) for _ in worlds.agents])
"""

from __future__ import annotations

from savanna.envs.particle.numpy_worlds import NumpyWorlds
from savanna.envs.particle.options import check_options
from savanna.envs.particle.scenarios import SCENARIOS
from savanna.envs.particle.world import VectorWorlds


def make_worlds(
    scenario: str,
    num_worlds: int,
    *,
    num_agents: int | None = None,
    num_adversaries: int | None = None,
    local_ratio: float | None = None,
    max_cycles: int = 25,
    continuous: bool = False,
    backend: str = "auto",
) -> VectorWorlds:
    """Worlds of a scenario of mpe2; call `reset` before the first step.

    Args:
        scenario: mpe2's name without its version.
        num_agents: all agents, adversaries included; None: the scenario's own number.
        num_adversaries: how many of them are adversaries; None: the scenario's own number.
        local_ratio: weight of an agent's own reward against the shared one; None: 0.5.
        max_cycles: steps per episode.
        backend: "numpy", "mpe2" (slow), or "auto": numpy if the scenario has a NumPy version.

    Raises:
        UsageError: one line per invalid argument.
    """
    check_options(
        scenario, num_worlds, num_agents, num_adversaries, local_ratio, max_cycles, backend
    )
    kind = None
    if scenario in SCENARIOS:
        count = SCENARIOS[scenario].count(num_agents, num_adversaries)
        kind = SCENARIOS[scenario](count, 0.5 if local_ratio is None else local_ratio)
    if kind is None or backend == "mpe2":
        from savanna.envs.particle.mpe2_worlds import Mpe2Worlds

        return Mpe2Worlds(scenario, kind, num_worlds, max_cycles, continuous)
    return NumpyWorlds(kind, num_worlds, max_cycles, continuous)
