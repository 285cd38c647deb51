"""`savanna check-env`: mistakes in spaces, methods, observations, rewards and ends."""

import pytest
from checked_envs import assert_found_alone

# case: (the check that must find it, its verdict, a word of its message, what is changed)
BROKEN = {
    "actions of several kinds": (
        "spaces",
        "wrong",
        "only Discrete, MultiDiscrete, MultiBinary and Box are supported",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.action_space = gym.spaces.Dict({"go": gym.spaces.Discrete(2)})
        def step(self, action):
            return super().step(action["go"])
        """,
    ),
    "a mask of another size": (
        "spaces",
        "wrong",
        "its action_mask has 3 numbers, but Discrete(2) has 2 choices",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.observation_space = gym.spaces.Dict(
                {"place": self.observation_space, "action_mask": gym.spaces.MultiBinary(3)}
            )
        def look(self):
            return {"place": super().look(), "action_mask": np.ones(3, np.int8)}
        """,
    ),
    "observations without a size": (
        "spaces",
        "wrong",
        "no fixed size",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.observation_space = gym.spaces.Sequence(gym.spaces.Discrete(9))
        def look(self):
            return (self.place, 1)
        """,
    ),
    "no spaces": (
        "spaces",
        "wrong",
        "action_space is not set",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            del self.action_space
        """,
    ),
    "a step raises": (
        "play",
        "wrong",
        "step 5 raised KeyError",
        """
        steps = 0
        def step(self, action):
            self.steps += 1
            if self.steps == 5:
                raise KeyError("door")
            return super().step(action)
        """,
    ),
    "a late error": (
        "play",
        "wrong",
        "ZeroDivisionError",
        """
        steps = 0
        def step(self, action):
            self.steps += 1
            return super().step(action if self.steps < 900 else 1 // 0)
        """,
    ),
    "no second reset": (
        "play",
        "wrong",
        "reset 2 raised RuntimeError",
        """
        resets = 0
        def reset(self, *, seed=None, options=None):
            self.resets += 1
            if self.resets == 2:
                raise RuntimeError("used up")
            return super().reset(seed=seed, options=options)
        """,
    ),
    "four results": (
        "play",
        "wrong",
        "step 1 returned a tuple of 4",
        """
        def step(self, action):
            look, reward, over, _, info = super().step(action)
            return look, reward, over, info
        """,
    ),
    "another dtype": (
        "observations",
        "wrong",
        "float64",
        """
        def look(self):
            return super().look().astype(float)
        """,
    ),
    "a list": (
        "observations",
        "wrong",
        "not a NumPy array",
        """
        def look(self):
            return super().look().tolist()
        """,
    ),
    "out of bounds": (
        "observations",
        "wrong",
        "below 0",
        """
        def look(self):
            return super().look() - np.float32(1 if self.place == 3 else 0)
        """,
    ),
    "another shape": (
        "observations",
        "wrong",
        "shape",
        """
        def look(self):
            return super().look()[:1]
        """,
    ),
    "NaN observed": (
        "numbers",
        "wrong",
        "NaN or infinity",
        """
        def look(self):
            look = super().look()
            look[1] = np.nan if self.place == 2 else look[1]
            return look
        """,
    ),
    "endless reward": (
        "numbers",
        "wrong",
        "reward is inf",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, np.inf if self.place == 2 else reward, *rest
        """,
    ),
    "a reward in an array": (
        "numbers",
        "wrong",
        "type ndarray",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, np.asarray([reward]), *rest
        """,
    ),
    "no reward": (
        "numbers",
        "wrong",
        "type NoneType",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, None, *rest
        """,
    ),
    "a reward beyond float32": (
        "numbers",
        "wrong",
        "the reward is 1e+300, and float32",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, 1e300, *rest
        """,
    ),
    "a reward without a square": (
        "numbers",
        "warning",
        "the reward is 1e+25",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, 10**25, *rest
        """,
    ),
    "bounds beyond float32": (
        "spaces",
        "warning",
        "a bound of 1.8e+308",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            most = np.finfo(np.float64).max
            self.observation_space = gym.spaces.Box(-most, most, (2,), np.float64)
        def look(self):
            return super().look().astype(float)
        """,
    ),
    "leaves the program": (
        "play",
        "wrong",
        "step 5 raised SystemExit: sys.exit(3) was called",
        """
        steps = 0
        def step(self, action):
            import sys
            self.steps += 1
            if self.steps == 5:
                sys.exit(3)
            return super().step(action)
        """,
    ),
    "it plays alone only": (
        "training",
        "wrong",
        "2 at once, as in training",
        """
        def reset(self, *, seed=None, options=None):
            if seed == 8:
                raise RuntimeError("the port is taken")
            return super().reset(seed=seed)
        """,
    ),
    "reward in words": (
        "numbers",
        "wrong",
        "type str",
        """
        def step(self, action):
            look, reward, *rest = super().step(action)
            return look, str(reward), *rest
        """,
    ),
    "flags as numbers": (
        "flags",
        "wrong",
        "terminated is 0, of type int",
        """
        def step(self, action):
            look, reward, over, *rest = super().step(action)
            return look, reward, int(over), *rest
        """,
    ),
    "no end": (
        "episodes",
        "warning",
        "no end in 10,000",
        """
        def step(self, action):
            look, _, _, *rest = super().step(action)
            return look, 0.0, False, *rest
        """,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_found_by_its_check_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_found_alone(tmp_path, name, *BROKEN[name])
