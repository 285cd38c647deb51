"""Our particle worlds compared with mpe2's, in agent steps per second on one core.

    python -m benchmarks.particle_worlds [--scenario simple_spread ...]

Random discrete actions are drawn beforehand; ends of episodes are included. Every round measures
each candidate once, in turn; medians are compared, because other work shares the machine.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.mpe2_worlds import mpe2_module
from savanna.envs.particle.scenarios import SCENARIOS
from savanna.envs.particle.world import VectorWorlds

WORLDS = (1, 16, 64, 256)


def ours(worlds: VectorWorlds) -> Callable[[], int]:
    """A function that steps all worlds once and returns the number of agent steps."""
    rng = np.random.default_rng(0)
    size = worlds.num_worlds
    drawn = [
        [rng.integers(spec.num_actions, size=size) for spec in worlds.agents] for _ in range(97)
    ]
    worlds.reset(seed=0)
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        worlds.step(drawn[count % len(drawn)])
        return size * len(worlds.agents)

    return step


def mpe2s(scenario: str) -> Callable[[], int]:
    """A function that steps one of mpe2's own parallel environments, as its users do."""
    env: Any = mpe2_module(scenario).parallel_env(max_cycles=25)
    rng = np.random.default_rng(0)
    drawn = [
        {name: int(rng.integers(env.action_space(name).n)) for name in env.possible_agents}
        for _ in range(97)
    ]
    env.reset(seed=0)
    count = 0

    def step() -> int:
        nonlocal count
        count += 1
        env.step(drawn[count % len(drawn)])
        if not env.agents:
            env.reset()
        return len(env.possible_agents)

    return step


def rate(step: Callable[[], int], seconds: float) -> float:
    began, made = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        made += sum(step() for _ in range(25))
    return made / passed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", nargs="+", default=["simple_spread"], choices=SCENARIOS)
    parser.add_argument("--seconds", type=float, default=1, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = ["mpe2", *(f"{count} worlds" for count in WORLDS)]
    print("| agent steps per second | " + " | ".join(names) + " |")
    print("| --- |" + " ---: |" * len(names))
    for scenario in options.scenario:
        steps = [mpe2s(scenario), *(ours(make_worlds(scenario, count)) for count in WORLDS)]
        found: list[list[float]] = [[] for _ in steps]
        for turn in range(options.rounds):
            print(f"{scenario}, round {turn + 1} of {options.rounds}", file=sys.stderr, flush=True)
            for rates, step in zip(found, steps, strict=True):
                rates.append(rate(step, options.seconds))
        medians = [statistics.median(rates) for rates in found]
        cells = [f"{medians[0]:,.0f}"]
        cells += [f"{median:,.0f} ({median / medians[0]:,.0f}x)" for median in medians[1:]]
        print(f"| {scenario} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
