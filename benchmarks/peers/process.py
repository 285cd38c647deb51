"""One peer, in its own process and environment.

    python -m benchmarks.peers.process NAME ANSWERS < orders.json

Answers are JSON objects, one per line of ANSWERS: {"versions", "settings"}, then {"seconds",
"steps", "returns"} for every look at the policy, the last one when the time is up; or {"error"}.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.peers.clock import Clock, TimeIsUp
from benchmarks.peers.world import difference, play

ADAPTERS = {
    "agilerl": "benchmarks.peers.agilerl_maddpg",
    "xuance": "benchmarks.peers.xuance_maddpg",
}
"""Name, which is also the package's -> module with a class `Peer`."""


def serve(name: str, orders: dict[str, Any], tell: Callable[..., None]) -> None:
    """Check the world; then, if `orders["train"]`, train and report on the policy."""
    peer = importlib.import_module(ADAPTERS[name]).Peer(orders["seed"])
    packages = (name, peer.worlds, "torch")
    tell(versions={package: version(package) for package in packages}, settings=peer.settings)
    problem = difference(peer.make_world(), orders["reference"])
    if problem:
        tell(error=f"its world differs from ours: {problem}")
        return
    if not orders["train"]:
        return

    def look(seconds: float, steps: int, episodes: int = orders["curve_episodes"]) -> None:
        returns = play(peer.make_world, peer.act, episodes, orders["evaluation_seed"])
        tell(seconds=seconds, steps=steps, returns=returns)

    clock = Clock(orders["seconds"], orders["every"], look)
    try:
        peer.train(clock)
    except TimeIsUp:
        look(clock.seconds, clock.steps, orders["episodes"])
    else:
        tell(error=f"its training ended on its own after {clock.seconds:.0f} s")


def main() -> None:
    name, file = sys.argv[1:]
    with Path(file).open("w") as answers:

        def tell(**answer: Any) -> None:
            print(json.dumps(answer), file=answers, flush=True)

        try:
            serve(name, json.load(sys.stdin), tell)
        except Exception as error:
            traceback.print_exc()
            tell(error=f"{type(error).__name__}: {error}")
    sys.stderr.flush()
    # AgileRL's worlds are processes that survive a request to end; our parent process kills them.
    os._exit(0)


if __name__ == "__main__":
    main()
