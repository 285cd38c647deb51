"""Training on Gymnasium environments until it is good enough, in one process."""

import json
from collections import deque
from pathlib import Path

import numpy as np
from command import python

from savanna.algorithms.paced import Paced
from savanna.experiments import Machine
from savanna.experiments.cartpole import build_config as build_ppo
from savanna.experiments.gym_impala import build_impala

BUILD = {"impala": build_impala, "ppo": build_ppo}
PROGRAM = """
import json, sys
sys.path.append({folder!r})
from learning import learn
{prepare}
print(json.dumps(learn(*{arguments!r})))
"""


def learn(build: str, env: str, steps: int, enough: float, model=None) -> float:
    """The best mean return of 30 episodes in a row within so many agent steps."""
    config = BUILD[build](env, Machine(2, 0)).debugging(seed=0)
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


def learned(folder: Path, *arguments, prepare: str = "") -> float:
    """`learn(*arguments)` in a process of its own, after the lines `prepare`."""
    script = folder / "learn.py"
    here = str(Path(__file__).parent)
    script.write_text(PROGRAM.format(folder=here, prepare=prepare, arguments=arguments))
    done = python(script, cwd=folder, timeout=500)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])
