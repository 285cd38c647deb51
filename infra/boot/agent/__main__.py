"""`python3 -m agent VERB`, for the units and node.sh; results on stdout, messages on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable

from . import cloud, events, limits, tagged
from .stop import say, stop_machine

SHOW: dict[str, Callable[[], str]] = {
    "vm-id": lambda: cloud.instance().vm_id,
    "ray-token": cloud.ray_token,
    "registry-token": cloud.registry_token,
    "join-minutes": tagged.join_minutes,
}


def main(arguments: list[str]) -> int:
    match arguments:
        case [verb] if verb in SHOW:
            print(SHOW[verb]())
            return 0
        case ["watch-events"]:
            return events.watch()
        case ["watch-limits"]:
            return limits.watch()
        case ["stop", reason]:
            return stop_machine(reason)
    say(f"unknown call: {' '.join(arguments)}")
    return 2


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except cloud.CloudError as error:
        say(str(error))
        sys.exit(1)
