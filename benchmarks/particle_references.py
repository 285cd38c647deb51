"""Returns of the scripted players of simple_spread: `python -m benchmarks.particle_references`."""

from __future__ import annotations

import argparse
import statistics

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.references import REFERENCES, make_player, play
from savanna.envs.particle.world import old_scale


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--episodes", type=int, default=5000, help="episodes of each player")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    scale = old_scale("simple_spread")
    assert scale is not None
    print("| player | actions | old scale | +- | covered | collisions | distance |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for continuous in (False, True):
        worlds = make_worlds("simple_spread", 250, continuous=continuous)
        for name in REFERENCES:
            player = make_player(name, worlds, options.seed)
            episodes = play(worlds, player, options.episodes, options.seed)
            returns = [scale(sum(episode.returns)) for episode in episodes]
            error = statistics.stdev(returns) / len(returns) ** 0.5
            covered, collisions, distance = (
                statistics.mean(episode.metrics[metric] for episode in episodes)
                for metric in ("landmarks_covered", "collisions", "landmark_distance")
            )
            kind = "continuous" if continuous else "discrete"
            print(
                f"| {name} | {kind} | {statistics.mean(returns):.1f} | {error:.1f} "
                f"| {covered:.2f} | {collisions:.2f} | {distance:.3f} |"
            )


if __name__ == "__main__":
    main()
