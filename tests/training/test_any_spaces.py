"""Every space: encoded, stacked, acted on, decoded, and exported."""

import json

import gymnasium as gym
import numpy as np
import onnxruntime
import pytest
import torch
from any_spaces import Anything, action_spaces, observation_spaces
from gymnasium import spaces as sp
from gymnasium.vector import SyncVectorEnv
from hypothesis import HealthCheck, given, settings

from savanna.envs.acting import Acting
from savanna.envs.as_seen import as_seen, preprocessing, unsupported
from savanna.envs.gymnasium_env import Gymnasium
from savanna.envs.observing import Observing
from savanna.envs.one_agent import first_episodes
from savanna.envs.pictures import Picture, PictureSettings
from savanna.errors import UsageError
from savanna.evaluation.onnx_export import check, write_graph
from savanna.evaluation.policy import Policy
from savanna.modules.network import Network

SLOW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def policy_of(env, seed=0) -> Policy:
    torch.manual_seed(seed)
    small = {"fcnet_hiddens": [8], "picture_units": 8}
    return Policy(
        Network(
            observation_space=env.observation_space,
            action_space=env.action_space,
            inference_only=False,
            model_config=small,
        ).eval()
    )


@SLOW
@given(observation_spaces(), action_spaces())
def test_any_environment_is_played_as_networks_see_it(observations, actions):
    env = Anything(observations, actions)
    assert unsupported(env) is None
    env = as_seen(env)
    policy = policy_of(env)
    for explore in (False, True):
        played = first_episodes(
            lambda seen, rng: [policy.act(seen[0], rng)],
            SyncVectorEnv([lambda: as_seen(Anything(observations, actions))] * 3),
            seed=1,
            explore=explore,
            watch=lambda ended, steps: True,
        )
        assert [p.total for p in played] == [15.0] * 3


@SLOW
@given(observation_spaces())
def test_what_networks_see_is_in_a_simple_space_and_finite(observations):
    observing = Observing(observations)
    observations.seed(0)
    parts = observing.space.values() if observing.alone is None else [observing.space]
    for part in parts:
        assert isinstance(part, sp.Box) and part.dtype in (np.uint8, np.float32)
        assert len(part.shape) in (1, 3)
    for _ in range(3):
        with np.errstate(over="ignore"):
            seen = observing(observations.sample())
        assert observing.space.contains(seen), (observing.space, seen)


PICTURE = np.arange(20 * 30 * 3).reshape(20, 30, 3).astype(np.uint8)
FIRST = PICTURE.transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("space", "given", "seen"),
    [
        (sp.Box(0, 255, (20, 30, 3), np.uint8), PICTURE, FIRST),
        (sp.Box(0, 255, (3, 20, 30), np.uint8), FIRST, FIRST),
        (sp.Box(0, 255, (20, 30), np.uint8), PICTURE[..., 0], FIRST[:1]),
        (sp.Box(0, 255, (20, 30, 3), np.float32), PICTURE.astype(np.float32), FIRST / 255),
        (sp.Box(0, 1, (3, 20, 30), np.float64), FIRST / 255, FIRST / 255),
        (sp.Box(0, 255, (20, 30, 3), np.int64), PICTURE.astype(np.int64), FIRST),
        (
            sp.Box(0, 255, (2, 20, 30, 3), np.uint8),
            np.stack([PICTURE, PICTURE + 1]),
            np.concatenate([FIRST, FIRST + 1]),
        ),
        (sp.Discrete(3, start=5), 6, [0, 1, 0]),
        (sp.MultiDiscrete([2, 3]), [1, 0], [0, 1, 1, 0, 0]),
        (sp.MultiBinary(3), np.int8([1, 0, 1]), [1, 0, 1]),
        (sp.Tuple((sp.Box(-1, 1, (2,)), sp.Discrete(2))), ([0.5, -1], 1), [0.5, -1, 0, 1]),
        # A byte that never changes is 0, not 0 / 0.
        (sp.Box(np.uint8([0, 9]), np.uint8([10, 9]), (2,), np.uint8), np.uint8([5, 9]), [0.5, 0]),
    ],
    ids=lambda value: str(value) if isinstance(value, sp.Space) else "",
)
def test_how_an_observation_is_seen(space, given, seen):
    found = Observing(space)(given)
    np.testing.assert_allclose(found, np.asarray(seen, found.dtype), atol=1e-6)


def test_pictures_are_resized_grey_and_stacked_as_asked(monkeypatch):
    """A grey ramp: each of 20 x 20 pixels is the mean of 2 x 2 of the source."""

    class Ramp(gym.Env):
        observation_space = sp.Box(0, 255, (40, 40, 3), np.uint8)
        action_space = sp.Discrete(2)

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            self.steps = 0
            return self.look(), {}

        def look(self):
            ramp = np.arange(40, dtype=np.uint8)[:, None] + self.steps
            return np.broadcast_to((ramp * np.uint8(2))[..., None], (40, 40, 3)).copy()

        def step(self, action):
            self.steps += 1
            return self.look(), 0.0, False, False, {}

    monkeypatch.setattr(Gymnasium, "make", lambda self, render_mode=None: Ramp())
    asked = {"frame_size": 20, "grey": True, "frame_stack": 3}
    environment = Gymnasium("CartPole-v1", asked)
    env = environment.make_flat()
    assert env.observation_space == sp.Box(0, 255, (3, 20, 20), np.uint8)
    first, _ = env.reset(seed=0)
    assert not first[:2].any(), "nothing was before"
    expected = np.broadcast_to(4 * np.arange(20)[:, None] + 1, (20, 20))
    np.testing.assert_allclose(first[2], expected, atol=1)
    env.step(0)
    second = env.step(0)[0].astype(int)
    np.testing.assert_allclose(second[2] - second[1], 2, atol=1)
    np.testing.assert_allclose(second[1] - first[2].astype(int), 2, atol=1)
    again, _ = env.reset()
    np.testing.assert_array_equal(again, first)
    assert len(environment.preprocessing()["steps"]) == 4


def test_colours_are_resized_as_grey_is():
    pictures = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    asked = PictureSettings.of({"frame_size": 20})
    coloured = Picture.of(sp.Box(0, 255, (50, 70, 3), np.uint8), asked)(pictures)
    grey = Picture.of(sp.Box(0, 255, (50, 70), np.uint8), asked)
    assert coloured.shape == (3, 20, 20) and coloured.flags.c_contiguous
    for channel in range(3):
        np.testing.assert_array_equal(coloured[channel], grey(pictures[..., channel])[0])


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({"frame_size": 3}, "frame_size must be a whole number from 16"),
        ({"grey": 1}, "grey must be true or false"),
        ({"frame_stack": 0}, "frame_stack must be a whole number to 16"),
    ],
)
def test_bad_settings_of_pictures_are_named(asked, says):
    with pytest.raises(UsageError, match=says):
        Gymnasium("CartPole-v1", asked).make_flat()


MIXED = sp.Dict(
    {
        "camera": sp.Box(0, 255, (24, 32, 3), np.uint8),
        "speed": sp.Box(-1, 1, (2,), np.float64),
        "gear": sp.Discrete(3, start=1),
        "action_mask": sp.MultiBinary(4),
    }
)


def test_pictures_and_vectors_together_and_a_mask():
    observing = Observing(MIXED, choices=4)
    given = {
        "camera": np.full((24, 32, 3), 7, np.uint8),
        "speed": np.array([0.5, -0.5]),
        "gear": 3,
        "action_mask": np.int8([0, 1, 0, 1]),
    }
    seen = observing(given)
    assert list(observing.space) == ["action_mask", "camera", "vector"]
    assert seen["camera"].shape == (3, 24, 32) and seen["camera"].dtype == np.uint8
    assert seen["vector"].tolist() == [0, 0, 1, 0.5, -0.5]
    assert seen["action_mask"].tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("space", "chosen", "given"),
    [
        (sp.Discrete(3, start=-1), 0, -1),
        (sp.MultiDiscrete([2, 3], start=[0, 5]), [1, 2], [1, 7]),
        (sp.MultiDiscrete([[2, 3], [4, 5]]), [1, 2, 3, 4], [[1, 2], [3, 4]]),
        (sp.MultiBinary(3), [1, 0, 1], [1, 0, 1]),
        (sp.Box(-1, 1, (2, 1), np.float64), [0.5, 1.0000001], [[0.5], [1.0]]),
        (sp.Box(0, np.inf, (1,)), [-3.0], [0.0]),
        (sp.Box(-4, 4, (1,), np.int64), [2.7], [3]),
    ],
    ids=lambda value: str(value) if isinstance(value, sp.Space) else "",
)
def test_how_an_action_is_given(space, chosen, given):
    found = Acting(space)(np.asarray(chosen))
    assert space.contains(found)
    np.testing.assert_array_equal(found, given)


class Mission(sp.Space):
    """A kind that Gymnasium does not know, as minigrid's."""


@pytest.mark.parametrize(
    ("observations", "says"),
    [
        (
            sp.Dict({"image": sp.Box(0, 1, (3,)), "mission": Mission()}),
            "has Mission in ['mission']",
        ),
        (Mission(), "is Mission"),
        (sp.Tuple((sp.Discrete(2), sp.Sequence(sp.Discrete(2)))), "has Sequence("),
    ],
)
def test_a_part_without_a_fixed_size_is_named(observations, says):
    problem = unsupported(Anything(observations, sp.Discrete(2)))
    assert says in problem and "which has no fixed size" in problem


def test_spaces_that_networks_take_as_they_are_cost_nothing():
    env = gym.make("CartPole-v1", disable_env_checker=True)
    assert as_seen(env) is env


@pytest.mark.parametrize(
    ("observations", "actions"),
    [
        (MIXED, sp.Discrete(4)),
        (sp.Box(0, 255, (20, 20, 3), np.uint8), sp.MultiDiscrete([2, 3])),
        (sp.Tuple((sp.Box(-1, 1, (3,)), sp.Discrete(2))), sp.Box(-2, np.array([2, np.inf]))),
    ],
    ids=["mixed and masked", "picture, several actions", "continuous"],
)
def test_exported_it_acts_the_same(observations, actions, tmp_path, monkeypatch):
    monkeypatch.setattr(
        Gymnasium, "make", lambda self, render_mode=None: Anything(observations, actions)
    )
    environment = Gymnasium("any:Thing", {})
    policy = policy_of(environment.make_flat())
    [seen] = environment.observations(lambda o, rng=None: [policy.act(o[0], rng)], 64)
    write_graph(policy, seen, tmp_path / "model.onnx")
    assert check(tmp_path / "model.onnx", policy, seen) < 1e-3
    session = onnxruntime.InferenceSession(str(tmp_path / "model.onnx"))
    parts = seen if isinstance(seen, dict) else {"observations": seen}
    few = {name: array[:3] for name, array in parts.items()}
    [action] = session.run(["action"], few)
    chosen = policy.act({n: a[:3] for n, a in seen.items()} if isinstance(seen, dict) else seen[:3])
    np.testing.assert_allclose(action, chosen, atol=1e-3)
    assert json.dumps(preprocessing(observations, actions, {}))
