"""MADDPG learns: a tiny run clearly beats random play."""

import numpy as np
import pytest
from ray.rllib.core.learner.training_data import TrainingData
from ray.rllib.utils.metrics import NUM_ENV_STEPS_SAMPLED_LIFETIME

from savanna.algorithms.maddpg import MADDPG, MADDPGConfig
from savanna.algorithms.maddpg.env_runner import ParticleEnvRunner
from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.references import make_player, play


def learn(config: MADDPGConfig, updates: int) -> list[float]:
    """Returns of the last 300 episodes during training."""
    runner = ParticleEnvRunner(config=config, worker_index=1)
    learner = config.get_default_learner_class()(
        config=config, module_spec=config.get_multi_rl_module_spec()
    )
    learner.build()
    returns: list[float] = []
    steps = 0
    while learner._updates < updates:
        fragment = runner.sample()
        steps += len(fragment)
        returns += [episode.episode_return for episode in fragment.episodes]
        learner.update(
            training_data=TrainingData(episodes=[fragment]),
            timesteps={NUM_ENV_STEPS_SAMPLED_LIFETIME: steps},
        )
        runner.set_state({"rl_module": learner.module.get_state(inference_only=True)})
    return returns[-300:]


@pytest.mark.parametrize("settings", [{}, {"continuous": True}])
def test_it_clearly_beats_random_play(settings):
    config = (
        MADDPG.get_default_config()
        .environment("simple_spread", env_config=settings)
        .env_runners(num_envs_per_env_runner=64)
        .debugging(seed=2)
        .training(
            lr=5e-3,
            gamma=0.9,
            tau=0.05,
            share_parameters=True,
            num_critics=2,
            policy_delay=2,
            train_batch_size_per_learner=256,
            num_steps_sampled_before_learning_starts=12_800,
        )
    )
    worlds = make_worlds("simple_spread", 300, **settings)
    random = [sum(e.returns) for e in play(worlds, make_player("random", worlds), 300)]
    learned = learn(config, updates=640)
    error = np.hypot(np.std(random), np.std(learned)) / np.sqrt(300)
    assert np.mean(learned) > np.mean(random) + 10, (np.mean(learned), np.mean(random))
    assert np.mean(learned) > np.mean(random) + 4 * error
