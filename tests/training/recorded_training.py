"""A program that trains with each algorithm, stops, continues from its checkpoint, and prints as
JSON each iteration's row beside the episodes that its environments have really played so far.

`python recorded_training.py FOLDER ALGORITHM...`
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import gymnasium as gym
import numpy as np

from savanna.envs.particle.make import make_worlds
from savanna.envs.particle.numpy_worlds import NumpyWorlds
from savanna.experiments import Machine, get_experiment
from savanna.metrics import IterationResult
from savanna.session.tune import make_trainable

PLAYED: list[tuple[float, int]] = []
"""Return and length of every episode, in the order in which they ended."""


class Game(gym.vector.VectorEnv):
    """In place of Atari: blank frames, episodes of 3 to 40 steps, an idle row at each end."""

    def __init__(self, *arguments, **settings):
        self.num_envs = 16
        self.single_observation_space = gym.spaces.Box(0, 255, (4, 42, 42), np.uint8)
        self.single_action_space = gym.spaces.Discrete(6)
        self.observation_space = gym.vector.utils.batch_space(self.single_observation_space, 16)
        self.action_space = gym.vector.utils.batch_space(self.single_action_space, 16)
        self.random = np.random.default_rng(5)

    def reset(self, *, seed=None, options=None):
        self.sums = np.zeros(16)
        self.steps = np.zeros(16, int)
        self.limits = self.random.integers(3, 41, 16)
        return self.seen(), {}

    def seen(self):
        return np.zeros((16, 4, 42, 42), np.uint8)

    def step(self, actions):
        idle = self.steps == self.limits  # the game that was over is reset
        self.limits = np.where(idle, self.random.integers(3, 41, 16), self.limits)
        rewards = np.where(idle, 0, self.random.normal(size=16)).astype(np.float32)
        self.sums = np.where(idle, 0, self.sums + rewards)
        self.steps = np.where(idle, 0, self.steps + 1)
        done = self.steps == self.limits
        PLAYED.extend((float(self.sums[i]), int(self.steps[i])) for i in np.flatnonzero(done))
        return self.seen(), rewards, done, np.zeros(16, bool), {}


class Worlds(NumpyWorlds):
    """Particle worlds that record what they play."""

    def reset(self, seed=None):
        self.sums = np.zeros(self.num_worlds)
        return super().reset(seed)

    def step(self, actions):
        result = super().step(actions)
        self.sums = self.sums + np.asarray(result.rewards).sum(axis=1)
        for index in np.flatnonzero(result.truncated):
            PLAYED.append((float(self.sums[index]), self.max_cycles))
            self.sums[index] = 0
        return result


def make_recorded(*arguments, **settings):
    worlds = make_worlds(*arguments, **settings)
    worlds.__class__ = Worlds
    return worlds


def config_of(name):
    experiment = get_experiment(name)
    config = experiment.build_config(experiment.env, Machine(cpus=2, gpus=0))
    config.num_env_runners = 0
    settings = {
        "pong": {"rollout_fragment_length": 16, "train_batch_size_per_learner": 256}
        | {"min_sample_timesteps_per_iteration": 1000, "lr": [[0, 1e-3], [10_000, 0.0]]}
        | {"entropy_coeff": [[0, 0.01], [10_000, 0.0]]},
        "particle": {"num_envs_per_env_runner": 8, "min_sample_timesteps_per_iteration": 1000}
        | {"num_steps_sampled_before_learning_starts": 300, "world_steps_per_update": 70}
        | {"replay_capacity": 10_000, "lr": [[0, 1e-3], [10_000, 0.0]]},
        "particle-ppo": {
            "train_batch_size_per_learner": 1000,
            "minibatch_size": 1000,
            "num_epochs": 1,
        }
        | {"lr": [[0, 1e-3], [10_000, 0.0]], "entropy_coeff": [[0, 0.01], [10_000, 0.0]]},
    }[name]
    for setting, value in settings.items():
        setattr(config, setting, value)
    config.max_time_s_per_iteration = 1000.0  # however busy the machine is
    config.debugging(seed=1)
    config.validate()
    return config


def trained(name, iterations, folder, load):
    config = config_of(name)
    algorithm = make_trainable(config.algo_class, Path(folder).parent, keep=1)(config.to_dict())
    if load:
        algorithm.load_checkpoint(folder)
    for _ in range(iterations):
        result = algorithm.train()
        row = asdict(IterationResult.from_rllib(result))
        row["elapsed"] = result["time_this_iter_s"]
        row["played"] = list(PLAYED)
        row["updates"] = vars(algorithm.learner_group._learner).get("_updates")
        yield row
    algorithm.save_checkpoint(folder)
    algorithm.stop()


def main(folder, *names):
    found = {}
    with (
        patch("savanna.algorithms.impala.env_runner.make_atari_vector_env", Game),
        patch("savanna.algorithms.maddpg.env_runner.make_worlds", make_recorded),
        patch("savanna.envs.rllib_world.make_worlds", make_recorded),
    ):
        for name in names:
            PLAYED.clear()
            checkpoint = Path(folder, name)
            found[name] = [
                *trained(name, 2, checkpoint, load=False),
                *trained(name, 1, checkpoint, load=True),
            ]
    print(json.dumps(found))


if __name__ == "__main__":
    import recorded_training  # pickled environments refer to it by this name

    recorded_training.main(*sys.argv[1:])
