"""One measurement in its own process; prints one line of JSON."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
from collections.abc import Callable
from typing import Any

WARM_UP_SECONDS = 15.0


def raw_emulator(seconds: float) -> dict[str, float]:
    """`AtariVectorEnv` on every core, random actions, no network: agent steps per second."""
    import numpy as np

    from savanna.envs.atari import make_atari_vector_env

    cores = len(os.sched_getaffinity(0))
    envs = make_atari_vector_env("PongNoFrameskip-v4", 16, num_threads=cores)
    envs.reset(seed=0)
    rng = np.random.default_rng(0)
    began, steps = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        envs.step(rng.integers(0, 6, 16))
        steps += 16
    return {"sampled": steps / (time.perf_counter() - began)}


def algorithm(build: Callable[[], Any], seconds: float) -> dict[str, float]:
    """Sampled and trained agent steps per second of an RLlib algorithm, after a warm-up."""
    import ray

    cores = len(os.sched_getaffinity(0))
    os.environ["RAY_worker_niceness"] = "0"
    # More logical CPUs than real ones, so that bookkeeping does not hold stock RLlib back.
    ray.init(
        num_cpus=2 * cores + 2,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    algo = build().build_algo()

    def counters(result: dict[str, Any]) -> tuple[float, float, float]:
        trained = result["learners"]["__all_modules__"]["num_env_steps_trained_lifetime"]
        sampled = result["env_runners"]["num_env_steps_sampled_lifetime"]
        return time.perf_counter(), float(sampled), float(trained)

    began = time.perf_counter()
    first = last = None
    while last is None or first is None or last[0] - first[0] < seconds:
        result = algo.train()
        if time.perf_counter() - began < WARM_UP_SECONDS or "learners" not in result:
            continue
        first, last = first or counters(result), counters(result)
    algo.stop()
    ray.shutdown()
    elapsed = last[0] - first[0]
    return {"sampled": (last[1] - first[1]) / elapsed, "trained": (last[2] - first[2]) / elapsed}


def ours(one_pass: bool) -> Any:
    """The shipped preset, or settings for throughput only: one pass, the smallest network.

    The latter sample with one process per core, so that the emulator pauses least.
    """
    from savanna.experiments import Machine
    from savanna.experiments.pong import build_config

    cores = len(os.sched_getaffinity(0))
    config = build_config("PongNoFrameskip-v4", Machine(cores, 0))
    if one_pass:
        config.env_runners(
            num_env_runners=cores,
            num_env_threads=1,
            num_envs_per_env_runner=32,
            rollout_fragment_length=64,
        )
        config.training(num_epochs=1, clip_param=None, train_batch_size_per_learner=4096)
        config.rl_module(model_config={**config._model_config, "encoder": "small"})
    return config.debugging(seed=0)


def main() -> None:
    what, seconds = sys.argv[1], float(sys.argv[2])
    if what == "raw":
        found = raw_emulator(seconds)
    elif what.startswith("stock"):
        from benchmarks.stock import build_config

        found = algorithm(lambda: build_config(0 if what == "stock-local" else 1), seconds)
    else:
        found = algorithm(lambda: ours(one_pass=what == "one-pass"), seconds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
