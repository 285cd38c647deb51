"""A realistic run directory, made without training, to test recorders and reports on."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

from savanna.metrics import IterationResult
from savanna.recording import MetricsCsv
from savanna.runs.checkpoints import CheckpointInfo, describe
from savanna.runs.directory import RunDirectory

STEPS_PER_ITERATION = 8192
CONFIG: dict[str, Any] = {
    "experiment": "pong",
    "algorithm": "IMPALA",
    "env": "PongNoFrameskip-v4",
    "env_config": {"frame_size": 42, "frame_stack": 4, "episodic_life": False},
    "seed": 3,
    "stop": {"return": 18, "seconds": 3600},
    "options": {"checkpoint_freq": 20, "checkpoint_at_end": True, "keep": 5, "runs": 1},
    "overrides": {"lr": 0.0004, "entropy_coeff": 0.02},
    "resources": {"cpus": 2, "gpus": 0, "env_runners": 1, "learner_device": "cpu"},
    "preset": {
        "lr": 0.0004,
        "gamma": 0.99,
        "lambda_": 0.95,
        "entropy_coeff": 0.02,
        "train_batch_size_per_learner": 2048,
        "minibatch_size": 256,
        "model_config": {"encoder": "medium", "standardize_frames": 100_000},
    },
    "rllib": {"lr": 0.0004, "framework": "torch", "note": "<script>alert(1)</script>"},
}
METADATA: dict[str, Any] = {
    "savanna": "0.1.0",
    "command": ["savanna", "train", "pong", "--seed", "3", "--set", "lr=0.0004"],
    "seed": 3,
    "started": "2026-03-01T08:00:00Z",
    "versions": {"python": "3.11.2", "ray": "2.60.0", "torch": "2.13.0+cpu", "numpy": "2.4.6"},
    "git": {"sha": "0123456789abcdef0123456789abcdef01234567", "dirty": True},
    "hardware": {
        "platform": "Linux-6.1 x86_64",
        "cpu": "Example CPU @ 2.5 GHz",
        "cpus": 2,
        "memory_gib": 23.5,
        "gpus": [],
    },
    "resumed_from": None,
}


def result(iteration: int, **changes: Any) -> IterationResult:
    """Iteration `iteration` of a run that learns Pong in about sixty of them."""
    noise = random.Random(iteration)
    learnt = 1 / (1 + math.exp(-(iteration - 33) / 5.5))
    mean = -20.7 + 39.6 * learnt + noise.gauss(0, 0.35)
    steps = iteration * STEPS_PER_ITERATION
    rate = 4300 + noise.gauss(0, 160) - (900 if iteration < 3 else 0)
    values: dict[str, Any] = {
        "iteration": iteration,
        "agent_steps": steps,
        "seconds": iteration * 2.0 + math.sin(iteration) * 0.1,
        "episode_return_mean": mean,
        "episode_return_min": max(-21.0, mean - 4 - 5 * math.sin(math.pi * learnt)),
        "episode_return_max": min(21.0, mean + 2 + 4 * math.sin(math.pi * learnt)),
        "episode_length_mean": 900 + 1400 * math.sin(math.pi * learnt) + noise.gauss(0, 20),
        "episodes_total": iteration * 7,
        "agent_steps_trained": steps - 2048,
        "sampled_per_second": rate,
        "trained_per_second": rate - noise.random() * 250,
        "policy_loss": -0.012 - 0.006 * noise.random(),
        "value_loss": 0.35 * math.exp(-iteration / 25) + 0.03 * noise.random(),
        "entropy": 1.79 * math.exp(-iteration / 60) + noise.gauss(0, 0.01),
        "kl": 0.008 + 0.004 * noise.random(),
        "gradient_norm": 1.2 + 0.5 * noise.random(),
        "learning_rate": 4e-4,
        "explained_variance": min(0.97, 1 - math.exp(-iteration / 12)) + noise.gauss(0, 0.01),
        "policy_lag": 1.0 + 0.3 * noise.random(),
        "cpu_percent": 96 + noise.gauss(0, 1),
        "memory_percent": 17.5 + iteration / 60,
    }
    return IterationResult(**(values | changes))


def make_run(
    root: Path,
    iterations: int = 64,
    *,
    status: dict[str, Any] | None = None,
    evaluated: bool = True,
    config: dict[str, Any] | None = None,
    name: str = "20260301T080000Z-s3",
) -> RunDirectory:
    """A run directory below `root`; its first three iterations have no finished episode."""
    run = RunDirectory(root / "pong" / name)
    run.path.mkdir(parents=True)
    run.write_json("config.json", CONFIG if config is None else config)
    run.write_json("metadata.json", METADATA)
    run.write_json("status.json", status or succeeded())
    recorder = MetricsCsv()
    recorder.start(run, CONFIG, resumed=False)
    for number in range(1, iterations + 1):
        unknown = {f"episode_return_{kind}": math.nan for kind in ("mean", "min", "max")}
        recorder.record(result(number, **(unknown if number < 4 else {})))
    recorder.finish({})
    for number, iteration in enumerate(range(20, iterations + 1, 20)):
        _add_checkpoint(run, number, iteration)
    if evaluated:
        run.write_json("evaluations.json", [_evaluation(c) for c in run.checkpoints()])
    return run


def succeeded() -> dict[str, Any]:
    return {
        "state": "succeeded",
        "reason": "the mean return reached 18",
        "cause": None,
        "started": "2026-03-01T08:00:00Z",
        "ended": "2026-03-01T08:02:31Z",
        "pid": 1234,
        "host": "example",
    }


def failed() -> dict[str, Any]:
    return succeeded() | {
        "state": "failed",
        "reason": "an env runner died",
        "cause": "Env runner 1 on node 10.0.0.5 was killed: out of memory <12.1 of 12 GiB>.",
    }


def _add_checkpoint(run: RunDirectory, number: int, iteration: int) -> None:
    run.checkpoint_path(number).mkdir()
    at = result(iteration)
    describe(
        run.checkpoint_path(number),
        CheckpointInfo(number, iteration, at.agent_steps, at.seconds, at.episode_return_mean),
    )


def _evaluation(info: CheckpointInfo) -> dict[str, Any]:
    noise = random.Random(info.number)
    returns = [round(min(21, info.episode_return_mean + noise.gauss(1, 1.5))) for _ in range(10)]
    mean = sum(returns) / len(returns)
    return {
        "checkpoint": info.number,
        "episodes": len(returns),
        "seed": 1000,
        "mean": mean,
        "ci95": [mean - 0.9, mean + 0.9],
        "std": 1.3,
        "min": min(returns),
        "max": max(returns),
        "percentiles": {"5": min(returns), "25": mean - 1, "50": mean, "75": mean + 1, "95": 21},
        "length_mean": 1710.0,
        "explore": False,
        "returns": returns,
        "at": "2026-03-01T08:03:00Z",
    }
