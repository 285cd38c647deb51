"""What RLlib leaves out of checkpoints: random states, and unfinished episodes."""

from __future__ import annotations

import random
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from ray import cloudpickle

RANDOM = "random"
UNDER_WAY = "under_way"
WORLD = "world"
PIECES = "pieces"
"""Attribute of our env runners: what is sampled of the fragment under way."""
PICKLABLE = "picklable"
"""Key of an environment's metadata: whether a pickle holds all of its state."""

_EPISODES = (
    "_ongoing_episodes",
    "_ongoing_episodes_for_metrics",
    "_cached_to_module",
    "_shared_data",
    "_needs_initial_reset",
)
"""Attributes of RLlib's env runners that belong to their episodes."""

_WHOLE = ("gymnasium.envs.classic_control.", "gymnasium.envs.toy_text.")
"""Modules whose environments are plain Python objects: a pickle holds all of their state."""


def random_states() -> dict[str, Any]:
    """The states of this process's random number generators."""
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch": torch.get_rng_state().numpy(),
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    random.setstate(states["python"])
    np.random.set_state(states["numpy"])
    torch.set_rng_state(torch.from_numpy(states["torch"]))


def pack_env_runner(env_runner: Any) -> tuple[int, dict[str, Any]]:
    """The index of an env runner, and what its episodes need to continue in another process.

    An environment whose state a pickle may not hold completely (a simulator in another process,
    memory of a C library) starts a new episode instead.
    """
    index = env_runner.worker_index or 0
    if env_runner.env is None:
        return index, {}
    content: dict[str, Any] = {RANDOM: random_states(), WORLD: _world(env_runner)}
    content[PIECES] = cloudpickle.dumps(getattr(env_runner, PIECES, []))
    vector = vars(env_runner.env.unwrapped)
    if all(map(is_whole_in_a_pickle, vector.get("envs", [None]))):
        episodes = {name: getattr(env_runner, name) for name in _EPISODES}
        state = {name: value for name, value in vector.items() if name != "env_fns"}
        try:
            content[UNDER_WAY] = cloudpickle.dumps((episodes, state))
        except Exception as error:  # a checkpoint without them beats none
            print(f"cannot save the unfinished episodes: {error}", file=sys.stderr)
    return index, content


def unpack_env_runner(env_runner: Any, packed: Mapping[int, Mapping[str, Any]]) -> None:
    """Continue where the env runner of this index was, if it was packed."""
    content = packed.get(env_runner.worker_index or 0, {})
    # The resumed run may have other environment settings, or more or fewer environments.
    if PIECES in content and content.get(WORLD) == _world(env_runner):
        env_runner.pieces = cloudpickle.loads(content[PIECES])
    if UNDER_WAY in content and content[WORLD] == _world(env_runner):
        episodes, state = cloudpickle.loads(content[UNDER_WAY])
        env_runner.env.close()
        vars(env_runner).update(episodes)
        vars(env_runner.env.unwrapped).update(state)
    if RANDOM in content:
        restore_random_states(content[RANDOM])


def _world(env_runner: Any) -> tuple[str, dict[str, Any], int]:
    config = env_runner.config
    return str(config.env), dict(config.env_config), env_runner.num_envs


def is_whole_in_a_pickle(env: Any) -> bool:
    """Whether a pickled copy of `env` continues as `env` itself would.

    Pickling may succeed but keep too little: many simulators pickle only how to make a new one. So
    this is true only for known environments, and for those that say so in their metadata.
    """
    inner = getattr(env, "unwrapped", None)
    known = f"{type(inner).__module__}.".startswith(_WHOLE)
    return known or bool((getattr(inner, "metadata", None) or {}).get(PICKLABLE))
