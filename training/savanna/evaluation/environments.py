"""Environments to evaluate in: preprocessed as in training, one episode a slot."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from savanna.envs.atari import is_atari, make_atari_vector_env
from savanna.envs.single import make_single_env


def make_vector_env(
    config: dict[str, Any], num_envs: int, **atari: Any
) -> VectorEnv[Any, Any, Any]:
    """`num_envs` environments of a run's `config.json`; `atari` is for `make_atari_vector_env`.

    All reset in the step after an episode's end (NEXT_STEP).
    """
    settings = config.get("env_config", {})
    if not is_atari(config["env"]):
        make = partial(make_single_env, config["env"], settings)
        return gym.vector.SyncVectorEnv([make] * num_envs)
    given = {
        "frame_size": settings["frame_size"],
        "frame_stack": settings["frame_stack"],
        "num_threads": max(1, min(len(os.sched_getaffinity(0)), 8, num_envs)),
    }
    return make_atari_vector_env(config["env"], num_envs, **(given | atari))
