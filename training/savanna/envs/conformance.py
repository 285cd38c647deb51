"""What is wrong with an environment, found before training costs anything.

Every check is a small function from a `CheckedEnv` to a finding. All of them run, so that users
see all findings at once; no check repeats what another one explains.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from gymnasium import spaces

from savanna.envs.as_seen import unsupported
from savanna.envs.checked_env import (
    EVENTS,
    CheckedEnv,
    Result,
    Verdict,
    finite,
    observation_bytes,
    outside,
    short,
)
from savanna.envs.gymnasium_check import gymnasium_findings
from savanna.envs.gymnasium_env import EPISODE_LIMIT, time_limited
from savanna.envs.outside_checks import check_close, check_films, check_process
from savanna.envs.random_play import Player

MANY_INPUTS = 4_000  # for the dense network


@dataclass(frozen=True)
class Finding:
    """What one check found, in one line, and how to fix it."""

    check: str
    verdict: Verdict
    text: str
    fix: str = ""


def check_spaces(checked: CheckedEnv) -> Result:
    if problem := unsupported(checked.env):
        return "wrong", problem, "Change the space; docs/using.md lists what networks take."
    return "ok", f"{checked.env.action_space}; train it with: {checked.environment.command}"


def check_play(checked: CheckedEnv) -> Result:
    if error := checked.player.error or checked.long_play.error:
        return "wrong", error, "Random actions must work, also after another reset."
    return "ok", f"{EVENTS} random steps and resets"


def check_observations(checked: CheckedEnv) -> Result:
    space = checked.env.observation_space
    for event in checked.player.events:
        if not finite(event.observation):
            continue  # another check reports it
        if problem := outside(space, event.observation):
            fix = "Return what observation_space declares, or declare what you return."
            return "wrong", f"{event.call}: the observation {problem}", fix
    return "ok", "all in the space, with its dtype"


def check_numbers(checked: CheckedEnv) -> Result:
    for event in checked.player.events:
        if not finite(event.observation):
            return "wrong", f"{event.call}: NaN or infinity in the observation", "Clip or mask it."
        if event.call.startswith("reset"):
            continue
        kinds = (int, float, np.integer, np.floating)
        if not isinstance(event.reward, kinds):
            kind = type(event.reward).__name__
            return "wrong", f"{event.call}: the reward has type {kind}", "Return a float."
        if not np.isfinite(event.reward):
            return "wrong", f"{event.call}: the reward is {event.reward}", "Return a finite number."
    return "ok", "observations and rewards are finite"


def check_flags(checked: CheckedEnv) -> Result:
    for event in checked.player.events:
        for name in ("terminated", "truncated"):
            flag = getattr(event, name)
            if flag is not None and not isinstance(flag, (bool, np.bool_)):
                text = f"{event.call}: {name} is {flag!r}, of type {type(flag).__name__}"
                return "wrong", text, f"Return bool({name})."
    return "ok", "terminated and truncated are booleans"


def check_episodes(checked: CheckedEnv) -> Result:
    played = checked.long_play
    if played.error:
        return "skipped", f"not checked: {played.error}"
    if played.first_end is not None:
        return "ok", f"the first episode of random play ended after {played.first_end:,} steps"
    if time_limited(checked.env) or checked.environment.ours:
        return "ok", f"no end in {played.steps:,} random steps, but it has a time limit"
    text = f"no end in {played.steps:,} random steps ({played.seconds:.0f} s) and no time limit"
    fix = f"Training cuts episodes after {EPISODE_LIMIT:,} steps; return truncated=True earlier."
    return "warning", text, fix


def check_seeds(checked: CheckedEnv) -> Result:
    if checked.no_copy:
        return "skipped", "not checked: a second instance cannot be created"
    if checked.difference is not None:
        fix = "Call super().reset(seed=seed), draw only from self.np_random, reset all state."
        return "wrong", f"same seed and actions, but {checked.difference}", fix
    return "ok", "two copies with the same seed and actions play the same game"


def check_isolation(checked: CheckedEnv) -> Result:
    fix = "Keep state on self, not on the class, the module or the machine."
    if checked.no_copy:
        return "wrong", f"a second instance cannot be created: {checked.no_copy}", fix
    if checked.difference is not None:
        return "skipped", "not checked: the same seed gives different games"
    beside, disturbing = Player(checked.make(), seed=7), Player(checked.make(), seed=8)
    for _ in range(EVENTS):
        beside.advance()
        disturbing.advance()
    if difference := checked.player.difference(beside):
        return "wrong", f"a second instance changes the first: {difference}", fix
    return "ok", "two instances in one process do not affect each other"


def check_size(checked: CheckedEnv) -> Result:
    space = checked.env.observation_space
    size = observation_bytes(space)
    if size is None:
        return "skipped", "observations have no fixed size"
    inputs = spaces.flatdim(space)
    text = f"an observation has {size:,} bytes, {inputs:,} numbers"
    if inputs > MANY_INPUTS and not checked.environment.ours:
        return "warning", f"{text} for a small dense network", "Make it smaller: crop or resize."
    return "ok", text


def check_speed(checked: CheckedEnv) -> Result:
    played = checked.long_play
    if played.error or not played.steps:
        return "skipped", f"not measured: {played.error}"
    return "ok", f"{played.steps_per_second:,.0f} steps per second on one core"


CHECKS: dict[str, Callable[[CheckedEnv], Result]] = {
    "spaces": check_spaces,
    "play": check_play,
    "observations": check_observations,
    "numbers": check_numbers,
    "flags": check_flags,
    "episodes": check_episodes,
    "seeds": check_seeds,
    "isolation": check_isolation,
    "process": check_process,
    "films": check_films,
    "size": check_size,
    "speed": check_speed,
    "close": check_close,
}


def run_checks(checked: CheckedEnv) -> list[Finding]:
    """Every finding, in the order of `CHECKS`, with Gymnasium's own checker just before closing.

    The environment's output goes to standard error.
    """
    findings: list[Finding] = []
    with contextlib.redirect_stdout(sys.stderr):
        for name, check in CHECKS.items():
            if name == "close":
                findings += _gymnasium(checked, findings)
            try:
                findings.append(Finding(name, *check(checked)))
            except Exception as error:  # whatever the user's code raises
                findings.append(Finding(name, "wrong", f"the check itself failed: {short(error)}"))
            if name == "spaces" and not all(
                isinstance(getattr(checked.env, space, None), spaces.Space)
                for space in ("observation_space", "action_space")
            ):
                break  # cannot be played
        checked.close_copies()
    return findings


def _gymnasium(checked: CheckedEnv, findings: list[Finding]) -> list[Finding]:
    found = {finding.check for finding in findings if finding.verdict == "wrong"}
    said = gymnasium_findings(checked.env, found)
    if not said:
        return [Finding("gymnasium", "ok", "Gymnasium's own checker finds nothing else")]
    return [Finding("gymnasium", cast(Verdict, verdict), text) for verdict, text in said]
