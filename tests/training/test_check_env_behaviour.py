"""`savanna check-env`: mistakes with seeds, several copies, files, pictures and closing."""

import pytest
from checked_envs import assert_found_alone

# case: (the check that must find it, its verdict, a word of its message, what is changed)
BROKEN = {
    "chance without the seed": (
        "seeds",
        "warning",
        "a different observation",
        """
        def step(self, action):
            look, *rest = super().step(action)
            look[1] = random.random()
            return look, *rest
        """,
    ),
    "reset forgets something": (
        "seeds",
        "warning",
        "reset 1 gave a different observation",
        """
        age = 0.0
        def look(self):
            Env.age += 0.001
            return np.asarray([self.place, Env.age % 1], np.float32)
        """,
    ),
    "state on the class": (
        "isolation",
        "wrong",
        "a second instance changes the first",
        """
        @property
        def place(self):
            return Env.shared
        @place.setter
        def place(self, value):
            Env.shared = value
        """,
    ),
    "only one": (
        "isolation",
        "wrong",
        "a second instance cannot be created",
        """
        made = 0
        def __init__(self, render_mode=None):
            Env.made += 1
            if Env.made > 1:
                raise RuntimeError("the port is taken")
            super().__init__(render_mode)
        """,
    ),
    "a relative file": (
        "process",
        "warning",
        "level.txt",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            Path("level.txt").read_text()
        """,
    ),
    "pictures of nothing": (
        "films",
        "warning",
        "render() returns NoneType",
        """
        def render(self):
            return None
        """,
    ),
    "a thread": (
        "leftovers",
        "warning",
        "leaves a thread running: ticks",
        """
        def __init__(self, render_mode=None):
            import threading
            super().__init__(render_mode)
            self.over = threading.Event()
            threading.Thread(target=self.over.wait, args=(20,), name="ticks", daemon=True).start()
        """,
    ),
    "the folder": (
        "leftovers",
        "warning",
        "changes the working folder, to /",
        """
        def reset(self, *, seed=None, options=None):
            import os
            os.chdir("/")
            return super().reset(seed=seed)
        """,
    ),
    "the signals": (
        "leftovers",
        "warning",
        "changes how SIGTERM is handled",
        """
        def __init__(self, render_mode=None):
            import signal
            super().__init__(render_mode)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        """,
    ),
    "chance of everybody": (
        "leftovers",
        "warning",
        "seeds Python's global generator",
        """
        def reset(self, *, seed=None, options=None):
            random.seed(seed)
            return super().reset(seed=seed)
        """,
    ),
    "render mode forgotten": (
        "films",
        "warning",
        "does not set self.render_mode",
        """
        def __init__(self, render_mode=None):
            super().__init__(None)
        """,
    ),
    "no pictures": (
        "films",
        "warning",
        "no rgb_array",
        """
        metadata = {"render_modes": []}
        """,
    ),
    "a large picture": (
        "size",
        "warning",
        "65,536 numbers",
        """
        def __init__(self, render_mode=None):
            super().__init__(render_mode)
            self.observation_space = gym.spaces.Box(0, 255, (256, 256), np.uint8)
        def look(self):
            return np.full((256, 256), self.place, np.uint8)
        """,
    ),
    "info is a list": (
        "gymnasium",
        "warning",
        "not a dictionary",
        """
        def reset(self, *, seed=None, options=None):
            look, _ = super().reset(seed=seed)
            return look, []
        """,
    ),
    "always the same seed": (
        "gymnasium",
        "warning",
        "should be `None`",
        """
        def reset(self, *, seed=5, options=None):
            return super().reset(seed=seed, options=options)
        """,
    ),
    "closed copies": (
        "close",
        "warning",
        "OSError",
        """
        def close(self):
            raise OSError("no such window")
        """,
    ),
    "closing twice": (
        "close",
        "warning",
        "AttributeError",
        """
        window = 1
        def close(self):
            if self.window is None:
                raise AttributeError("'NoneType' object has no attribute 'close'")
            self.window = None
        """,
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_is_found_by_its_check_alone(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "level.txt").write_text("1")
    assert_found_alone(tmp_path, name, *BROKEN[name])
