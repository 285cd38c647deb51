"""The options of a scenario, checked before anything is created."""

from __future__ import annotations

import difflib
from numbers import Integral, Real

from savanna.envs.particle.scenarios import SCENARIOS
from savanna.errors import UsageError

MPE2_ONLY = ("collect_treasure", "simple_formation", "simple_line")
"""Worlds of mpe2 without a NumPy version; their numbers of agents are mpe2's."""
BACKENDS = ("auto", "numpy", "mpe2")


def check_options(
    scenario: str,
    num_worlds: int,
    num_agents: int | None,
    num_adversaries: int | None,
    local_ratio: float | None,
    max_cycles: int,
    backend: str,
) -> None:
    """Raise a UsageError with one line per problem."""
    whole = {"num_worlds": num_worlds, "max_cycles": max_cycles}
    counts = {"num_agents": num_agents, "num_adversaries": num_adversaries}
    whole |= {name: value for name, value in counts.items() if value is not None}
    problems = [
        f"{name} {value!r}: expected a whole number."
        for name, value in whole.items()
        if isinstance(value, bool) or not isinstance(value, Integral)
    ]
    if isinstance(local_ratio, bool) or not isinstance(local_ratio, Real | None):
        problems.append(f"local_ratio {local_ratio!r}: expected a number.")
    if problems:
        raise UsageError("\n".join(problems))
    if num_worlds < 1:
        problems.append(f"num_worlds {num_worlds}: must be at least 1.")
    if max_cycles < 1:
        problems.append(f"max_cycles {max_cycles}: an episode needs at least 1 step.")
    if backend not in BACKENDS:
        problems.append(f"backend {backend!r}: must be one of {', '.join(BACKENDS)}.")
    if local_ratio is not None and not 0 <= local_ratio <= 1:
        problems.append(f"local_ratio {local_ratio:g}: must be between 0 and 1.")
    if scenario in SCENARIOS:
        problems += _of_scenario(scenario, num_agents, num_adversaries, local_ratio)
    elif scenario in MPE2_ONLY:
        if backend == "numpy":
            problems.append(f"backend numpy: {scenario} has no NumPy version; use mpe2 or auto.")
        if (num_agents, num_adversaries or None, local_ratio) != (None, None, None):
            problems.append(f"{scenario} has mpe2's fixed number of agents and ratio.")
    else:
        known = [*SCENARIOS, *MPE2_ONLY]
        near = difflib.get_close_matches(scenario, known, 1)
        hint = f" Did you mean {near[0]}?" if near else ""
        problems.append(f"no scenario {scenario!r}.{hint} Available: {', '.join(known)}.")
    if problems:
        raise UsageError("\n".join(problems))


def _of_scenario(
    scenario: str, num_agents: int | None, num_adversaries: int | None, local_ratio: float | None
) -> list[str]:
    kind = SCENARIOS[scenario]
    usual, count = kind.default, kind.count(num_agents, num_adversaries)
    problems = []
    if local_ratio is not None and not kind.has_local_ratio:
        problems.append(f"local_ratio: {scenario} has no shared reward to balance.")
    if count.agents != usual.agents and not kind.any_agents:
        problems.append(f"{count.agents} agents: {scenario} has exactly {usual.agents}.")
    if count.adversaries != usual.adversaries and not kind.any_adversaries:
        have = f"exactly {usual.adversaries}" if usual.adversaries else "none"
        problems.append(f"{count.adversaries} adversaries: {scenario} has {have}.")
    if problems:
        return problems
    if count.agents < 1:
        return [f"{count.agents} agents: {scenario} needs at least 1."]
    if usual.adversaries and count.adversaries < 1:
        return [f"{count.adversaries} adversaries: {scenario} needs at least 1."]
    if count.good < 1:
        return [
            f"{count.adversaries} adversaries among {count.agents} agents: {scenario} needs at "
            "least one agent that is not an adversary."
        ]
    return []
