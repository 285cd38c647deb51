"""A check: the environment as training has it, several at once and with its casts."""

from __future__ import annotations

import time
from typing import Any

from savanna.envs.checked_env import FEW_EVENTS, FEW_SECONDS, CheckedEnv, finite, short
from savanna.envs.finding import Result
from savanna.errors import UsageError

COPIES = 2


def check_training(checked: CheckedEnv) -> Result:
    environment: Any = checked.environment
    if checked.wrong:
        return "skipped", "not checked: other checks have found something wrong"
    try:
        envs = environment.vector(COPIES)
    except UsageError as error:
        if not (checked.short and checked.slow_to_create):
            return "skipped", "not checked: a second instance cannot be created"
        return "wrong", str(error), "Training creates several in one process."
    try:
        return _play(envs)
    finally:
        envs.close()


def _play(envs: Any) -> Result:
    end, step = time.monotonic() + FEW_SECONDS, 0
    try:
        envs.action_space.seed(7)
        observations, _ = envs.reset(seed=7)
        while step < FEW_EVENTS and time.monotonic() < end:
            if not finite(observations):
                text = f"step {step}: what the network sees has a NaN or an infinity in it"
                return "wrong", text, "Use numbers that float32 can hold."
            step += 1
            observations, *_ = envs.step(envs.action_space.sample())
    except Exception as error:  # whatever the user's code raises
        text = f"{COPIES} at once, as in training: step {step}: {short(error)}"
        return "wrong", text, "It must play beside others, and reset after each of its episodes."
    return "ok", f"{COPIES} at once; the network sees {short(envs.single_observation_space)}"
