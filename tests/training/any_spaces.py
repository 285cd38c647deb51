"""Generated spaces, and environments that show and take anything in them."""

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from hypothesis import strategies as st


class Anything(gym.Env):
    """Observations are samples of a space; it refuses actions that are not in its own.

    Where observations have a mask it refuses illegal ones, too; the reward is the number of steps.
    """

    metadata = {"render_modes": ["rgb_array"]}

    def __init__(self, observations, actions, length=5, render_mode=None):
        self.observation_space, self.action_space = observations, actions
        self.length, self.render_mode = length, render_mode
        self.shown = None

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.observation_space.seed(seed)
        self.steps = 0
        return self.look(), {}

    def look(self):
        self.shown = self.observation_space.sample()
        if isinstance(self.shown, dict) and "action_mask" in self.shown:
            self.shown["action_mask"].flat[0] = 1
        return self.shown

    def step(self, action):
        assert self.action_space.contains(action), (action, self.action_space)
        if isinstance(self.shown, dict) and isinstance(self.action_space, spaces.Discrete):
            mask = self.shown.get("action_mask")
            assert mask is None or mask[action - self.action_space.start], "an illegal action"
        self.steps += 1
        return self.look(), float(self.steps), self.steps == self.length, False, {}

    def render(self):
        return np.zeros((32, 32, 3), np.uint8)


def boxes():
    floats = st.builds(
        lambda shape, bound, kind: spaces.Box(-bound, bound, tuple(shape), kind),
        st.lists(st.integers(1, 3), max_size=3),
        st.sampled_from([1.0, 7.5, 1e30, np.inf]),
        st.sampled_from([np.float32, np.float64]),
    )
    whole = st.builds(
        lambda shape, high, kind: spaces.Box(0, high, tuple(shape), kind),
        st.lists(st.integers(1, 3), min_size=1, max_size=3),
        st.sampled_from([0, 1, 100]),
        st.sampled_from([np.uint8, np.int16, np.int64]),
    )
    return st.one_of(floats, whole)


def pictures():
    side = st.integers(16, 40)

    def picture(height, width, channels, order, kind):
        shape = {
            "last": (height, width, channels),
            "first": (channels, height, width),
            "grey": (height, width),
            "stack": (2, height, width, channels),
        }[order]
        if kind == "bytes":
            return spaces.Box(0, 255, shape, np.uint8)
        if kind == "narrow":
            return spaces.Box(3, 9, shape, np.uint8)
        return spaces.Box(0, 1 if order == "last" else 255, shape, np.float32)

    orders = st.sampled_from(["last", "first", "stack"])
    return st.one_of(
        st.builds(
            picture, side, side, st.integers(1, 4), orders, st.sampled_from(["bytes", "floats"])
        ),
        st.builds(
            picture, side, side, st.just(1), st.just("grey"), st.sampled_from(["bytes", "narrow"])
        ),
    )


def simple():
    return st.one_of(
        boxes(),
        st.builds(spaces.Discrete, st.integers(1, 6), start=st.integers(-2, 2)),
        st.builds(spaces.MultiDiscrete, st.lists(st.integers(1, 4), min_size=1, max_size=3)),
        st.builds(spaces.MultiBinary, st.integers(1, 4)),
    )


def observation_spaces():
    leaves = st.one_of(simple(), pictures())
    names = st.text("abcdef", min_size=1, max_size=3)
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.builds(spaces.Dict, st.dictionaries(names, inner, min_size=1, max_size=3)),
            st.builds(spaces.Tuple, st.lists(inner, min_size=1, max_size=3)),
        ),
        max_leaves=4,
    )


def action_spaces():
    bounds = st.sampled_from([(-1, 1), (0, 5), (-np.inf, np.inf), (0, np.inf), (-3, 1e30)])
    return st.one_of(
        st.builds(spaces.Discrete, st.integers(1, 5), start=st.integers(-2, 2)),
        st.builds(
            lambda counts, starts: spaces.MultiDiscrete(counts, start=starts[: len(counts)]),
            st.lists(st.integers(1, 4), min_size=1, max_size=3),
            st.lists(st.integers(-2, 2), min_size=3, max_size=3),
        ),
        st.builds(spaces.MultiBinary, st.sampled_from([1, 3, (2, 2)])),
        st.builds(
            lambda pair, shape, kind: spaces.Box(*pair, shape, kind),
            bounds,
            st.sampled_from([(1,), (3,), (2, 2), ()]),
            st.sampled_from([np.float32, np.float64]),
        ),
        st.just(spaces.MultiDiscrete([[2, 3], [4, 1]])),
        st.just(spaces.Box(-4, 4, (2,), np.int64)),
    )
