"""The vector environment against a plain Gymnasium pipeline, frame by frame."""

import ale_py
import cv2
import gymnasium as gym
import numpy as np
import pytest

from savanna.envs.atari import Atari, make_atari_vector_env, parse_atari_id
from savanna.errors import UsageError

gym.register_envs(ale_py)


class PlainGame:
    """One game, from `frameskip=1` up, with nothing of ale-py's vector environment."""

    def __init__(self, env: str, size: int, frames_before_start: int) -> None:
        self.game = gym.make(env)
        self.size = size
        self.game.reset()
        # ale-py presses FIRE first, then plays the remaining random number of no-ops.
        fires = "FIRE" in self.game.unwrapped.get_action_meanings()
        for frame in range(frames_before_start):
            self.game.step(1 if fires and frame == 0 else 0)
        blank = np.zeros((size, size), np.uint8)
        self.stack = [blank, blank, blank, self._resize(self._screen())]

    def _screen(self) -> np.ndarray:
        return self.game.unwrapped.ale.getScreenGrayscale()

    def _resize(self, screen: np.ndarray) -> np.ndarray:
        return cv2.resize(screen, (self.size, self.size), interpolation=cv2.INTER_AREA)

    def step(self, action: int) -> tuple[np.ndarray, float, bool]:
        screens, total, over = [], 0.0, False
        for _ in range(4):
            _, reward, over, _, _ = self.game.step(action)
            total += float(reward)
            screens.append(self._screen())
            if over:
                break
        self.stack = [*self.stack[1:], self._resize(np.maximum(*screens[-2:]))]
        return np.stack(self.stack), total, over


@pytest.mark.parametrize(
    ("env", "size", "steps"),
    [
        ("PongNoFrameskip-v4", 42, 900),
        ("PongNoFrameskip-v4", 84, 150),
        ("BreakoutNoFrameskip-v4", 42, 120),
    ],
)
def test_frames_rewards_and_ends_equal_the_plain_pipeline(env, size, steps):
    envs = 2
    vector = make_atari_vector_env(env, envs, frame_size=size)
    observations, info = vector.reset(seed=7)
    plain = [PlainGame(env, size, int(n)) for n in info["frame_number"]]
    for game, observation in zip(plain, observations, strict=True):
        np.testing.assert_array_equal(np.stack(game.stack), observation)
    rng = np.random.default_rng(0)
    finished: set[int] = set()
    for _ in range(steps):
        actions = rng.integers(0, vector.single_action_space.n, envs)
        observations, rewards, terminated, truncated, _ = vector.step(actions)
        assert not truncated.any()
        for index in set(range(envs)) - finished:
            stack, reward, over = plain[index].step(int(actions[index]))
            assert reward == rewards[index]
            assert over == terminated[index]
            # If a game ends in the middle of a skip, ale-py's last frame has no partner for the
            # maximum; nothing acts on that frame, and a terminal state has no value.
            compared = slice(0, 3) if over else slice(0, 4)
            np.testing.assert_array_equal(stack[compared], observations[index][compared])
            if over:
                finished.add(index)
    if steps == 900:
        assert finished, "an episode's end must be among what is compared"


def test_autoreset_takes_one_step_that_ignores_its_action():
    vector = make_atari_vector_env("PongNoFrameskip-v4", 1)
    vector.reset(seed=1)
    terminated = np.zeros(1, bool)
    while not terminated.any():
        observations, _, terminated, _, _ = vector.step(np.array([0]))
    assert observations[0, 0].any(), "the last observation is the old episode's"
    observations, rewards, terminated, _, info = vector.step(np.array([2]))
    assert not observations[0, :3].any() and observations[0, 3].any()
    assert rewards[0] == 0 and not terminated[0]
    assert info["episode_frame_number"][0] <= 30


def test_starts_vary_and_a_seed_repeats_them():
    def starts(seed: int) -> list[int]:
        vector = make_atari_vector_env("PongNoFrameskip-v4", 5)
        return vector.reset(seed=seed)[1]["frame_number"].tolist()

    first = starts(1)
    assert first == starts(1) != starts(2)
    assert len(set(first)) > 3
    assert all(1 <= frames <= 31 for frames in first)


def test_the_colour_screen_shows_the_same_game():
    shared = {"env": "PongNoFrameskip-v4", "num_envs": 1}
    small, large = (
        make_atari_vector_env(**shared),
        make_atari_vector_env(**shared, colour=True, frame_stack=1),
    )
    small.reset(seed=3), large.reset(seed=3)
    rng = np.random.default_rng(0)
    for _ in range(200):
        action = rng.integers(0, 6, 1)
        a, b = small.step(action), large.step(action)
        assert a[1] == b[1] and a[2] == b[2]
    assert b[0].shape == (1, 1, 210, 160, 3)


@pytest.mark.parametrize(
    ("env", "rom", "sticky"),
    [
        ("PongNoFrameskip-v4", "pong", 0.0),
        ("MsPacmanNoFrameskip-v4", "ms_pacman", 0.0),
        ("UpNDownNoFrameskip-v0", "up_n_down", 0.25),
        ("ALE/SpaceInvaders-v5", "space_invaders", 0.25),
    ],
)
def test_names(env, rom, sticky):
    assert Atari.recognises(env)
    assert parse_atari_id(env).rom == rom
    assert parse_atari_id(env).repeat_action_probability == sticky


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ("PnogNoFrameskip-v4", "Did you mean 'PongNoFrameskip-v4'"),
        ("Pong-v4", "Use PongNoFrameskip-v4"),
        ("ALE/Pong-v4", "Use PongNoFrameskip-v4"),
        ("not an id", "not an Atari id"),
    ],
)
def test_bad_names_say_what_to_write(env, says):
    with pytest.raises(UsageError, match=says):
        parse_atari_id(env)


def test_a_frame_size_must_be_supported():
    with pytest.raises(UsageError, match="42, 84"):
        make_atari_vector_env("PongNoFrameskip-v4", 1, frame_size=64)
