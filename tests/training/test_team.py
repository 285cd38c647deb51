"""All agents of a particle world in evaluation: which episodes they play."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from ray.rllib.utils.spaces.space_utils import unsquash_action

from savanna.algorithms.maddpg import MADDPG
from savanna.algorithms.maddpg.env_runner import ParticleEnvRunner
from savanna.envs.particle.family import Particle, episode_seeds
from savanna.envs.particle.make import make_worlds
from savanna.envs.rllib_world import RLlibWorld
from savanna.evaluation.policy import Policy
from savanna.evaluation.team import Team

SEED = 10_000
SPREAD = Particle("simple_spread", {"continuous": True})


class Still:
    """Acts on the observation alone."""

    action_space = gym.spaces.Box(0, 1, (5,))

    def forward_inference(self, batch):
        return {"action_dist_inputs": batch["obs"][:, :5].abs()}


class Gaussian(torch.nn.Module):
    """Like RLlib's networks: means and logarithms of deviations, here constant."""

    action_space = gym.spaces.Box(0, 1, (3,))

    def __init__(self, *outputs):
        super().__init__()
        self.outputs = torch.tensor(outputs)

    def forward_inference(self, batch):
        return {"action_dist_inputs": self.outputs.repeat(len(batch["obs"]), 1)}


@pytest.fixture
def team():
    return Team((Policy(Still()),) * 3)


def returns(team, count, seed=SEED):
    [played] = SPREAD.play([team.act], count, seed, False, lambda ended, steps: True)
    return [episode.total for episode in played]


def test_an_episode_is_the_same_whatever_is_played_beside_it(team):
    ten = returns(team, 10)
    assert ten == pytest.approx(returns(team, 30)[:10]) and ten == returns(team, 10)
    assert ten[3:] == pytest.approx(returns(team, 7, seed=SEED + 3))
    assert len(set(ten)) == 10


def test_a_film_shows_the_first_episode_of_an_evaluation(team):
    *_, last = SPREAD.film(team.act, SEED)
    assert last.score == pytest.approx(returns(team, 1)[0])


def test_runs_of_any_algorithm_train_in_other_worlds():
    """Even a run with the same seed as evaluation."""
    worlds = make_worlds("simple_spread", 16, continuous=True)
    played = worlds.reset(episode_seeds(SEED, 16))[0]
    baseline = RLlibWorld("simple_spread", {"continuous": True})
    config = (
        MADDPG.get_default_config()
        .environment("simple_spread", env_config={"continuous": True})
        .env_runners(num_envs_per_env_runner=16, rollout_fragment_length=1)
        .debugging(seed=SEED)
    )
    rows = ParticleEnvRunner(config=config, worker_index=0).sample().rows
    trained = [rows[:, :18], *(baseline.reset(seed=SEED + i)[0]["agent_0"] for i in range(16))]
    for begin in np.vstack(trained):
        assert not np.isclose(played, begin).all(axis=1).any()


def test_a_gaussian_of_rllib_acts_as_rllib_lets_it_act():
    """The mean without exploration; else drawn, as wide as in training."""
    network = Gaussian(-3.0, 0.0, 0.4, -1.0, -2.0, 0.0)
    policy, seen = Policy(network), np.zeros((20_000, 4), np.float32)
    best = policy.act(seen[:2])
    assert best.dtype == np.float32
    np.testing.assert_allclose(best, [[0.0, 0.5, 0.7]] * 2, atol=1e-6)
    rng = np.random.default_rng(0)
    drawn = policy.act(seen, rng)
    mean, deviation = network.outputs.numpy()[:3], np.exp(network.outputs.numpy()[3:])
    theirs = unsquash_action(rng.normal(mean, deviation, drawn.shape), network.action_space)
    np.testing.assert_allclose(drawn.mean(axis=0), theirs.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(drawn.std(axis=0), theirs.std(axis=0), atol=0.01)


def test_an_actor_explores_with_the_noise_of_its_run():
    seen = np.full((20_000, 5), 0.5, np.float32)
    for noise in (0.05, 0.1):
        drawn = Policy(Still(), noise=noise).act(seen, np.random.default_rng(0))
        np.testing.assert_allclose(drawn.mean(axis=0), 0.5, atol=0.005)
        np.testing.assert_allclose(drawn.std(axis=0), noise, rtol=0.03)
    best = Policy(Still(), noise=0.1).act(seen[:2])
    np.testing.assert_array_equal(best, seen[:2])
