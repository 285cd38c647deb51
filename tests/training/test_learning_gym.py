"""Gymnasium environments are learned, each clearly better than random play, in one process."""

from collections import deque

import numpy as np
import pytest

from savanna.algorithms.paced import Paced
from savanna.experiments import Machine
from savanna.experiments.cartpole import build_config as build_ppo
from savanna.experiments.gym_impala import build_impala


def learn(build, env: str, steps: int, enough: float, model=None) -> float:
    """The best mean return of 30 episodes in a row within so many agent steps."""
    config = build(env, Machine(2, 0)).debugging(seed=0)
    config.env_runners(num_env_runners=0)
    config.rl_module(model_config={**config._model_config, **(model or {})})
    config.min_sample_timesteps_per_iteration = 4096
    algorithm: Paced = config.build_algo()
    last: deque[float] = deque(maxlen=30)
    best, made = -np.inf, 0
    try:
        while made < steps and best < enough:
            result = algorithm.train()
            for episode in result["env_runners"].get("episodes_ended", []):
                last.append(episode[0])
                if len(last) == 30:
                    best = max(best, float(np.mean(last)))
            made = result["env_runners"]["num_env_steps_sampled_lifetime"]
    finally:
        algorithm.stop()
    return best


@pytest.mark.parametrize(
    ("build", "env", "steps", "enough"),
    [
        (build_impala, "CartPole-v1", 100_000, 150),  # random: 22
        (build_impala, "Acrobot-v1", 150_000, -150),  # random: -500
        (build_impala, "Pendulum-v1", 300_000, -600),  # random: -1200
        (build_ppo, "CartPole-v1", 60_000, 150),
        (build_ppo, "Pendulum-v1", 100_000, -800),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_it_learns(build, env, steps, enough):
    assert learn(build, env, steps, enough) >= enough
