"""An episode of our simple_spread, to replay in the peers' worlds."""

from __future__ import annotations

from typing import Any

import numpy as np

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.mpe2_worlds import copy_state, mpe2_module
from savanna.envs.particle.numpy_worlds import NumpyWorlds


def record(seed: int = 0) -> dict[str, Any]:
    """Where it began, the actions (random forces) and the rewards; see `world.difference`."""
    ours = make_worlds("simple_spread", 1, continuous=True, backend="numpy")
    assert isinstance(ours, NumpyWorlds)
    theirs: Any = mpe2_module("simple_spread").parallel_env(continuous_actions=True)
    theirs.reset(seed=seed)
    world = theirs.unwrapped.world
    for body in world.entities:
        body.state.p_pos *= 0.3  # close together, so that agents touch
    ours.reset(seed)
    copy_state(world, ours.kind, ours.physics, 0)
    rng = np.random.default_rng(seed)
    actions = rng.random((ours.max_cycles, len(ours.agents), 5), np.float32)
    rewards = [ours.step([forces[None] for forces in step]).rewards[0] for step in actions]
    return {
        "agents": [body.state.p_pos.tolist() for body in world.agents],
        "landmarks": [body.state.p_pos.tolist() for body in world.landmarks],
        "actions": actions.tolist(),
        "rewards": [row.tolist() for row in rewards],
    }
