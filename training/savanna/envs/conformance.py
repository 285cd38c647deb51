"""What is wrong with an environment, found before training costs anything.

Every check is a small function from a `CheckedEnv` to a finding. All of them run, so that users
see all findings at once; no check repeats what another one explains.
"""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable
from typing import cast

import numpy as np
from gymnasium import spaces

from savanna.envs.as_seen import unsupported
from savanna.envs.as_trained import check_training
from savanna.envs.checked_env import CheckedEnv, finite, largest, observation_bytes, outside, short
from savanna.envs.finding import Finding, Result, Verdict
from savanna.envs.gymnasium_check import gymnasium_findings
from savanna.envs.gymnasium_env import EPISODE_LIMIT, time_limited
from savanna.envs.host import hosting
from savanna.envs.outside_checks import check_close, check_films, check_leftovers, check_process
from savanna.envs.random_play import Event, Player

MANY_INPUTS = 4_000  # for the dense network
FLOAT32 = float(np.finfo(np.float32).max)
HOLDS = f"and float32, with which training computes, ends at {FLOAT32:.2g}"
SQUARES = FLOAT32**0.5
"""Larger rewards have no finite square in float32."""


def check_spaces(checked: CheckedEnv) -> Result:
    if problem := unsupported(checked.env):
        return "wrong", problem, "Change the space; docs/using.md lists what networks take."
    if (bound := _bound(checked.env.observation_space)) > FLOAT32:
        text = f"observation_space has a bound of {bound:.2g}, {HOLDS}"
        return "warning", text, "Training takes such a bound as infinite."
    return "ok", f"{checked.env.action_space}; train it with: {checked.environment.command}"


def check_play(checked: CheckedEnv) -> Result:
    error = checked.player.error or (None if checked.short else checked.long_play.error)
    if error:
        return "wrong", error, "Random actions must work, also after another reset."
    return "ok", f"{len(checked.player.events)} random steps and resets"


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
    warning: Result | None = None
    for event in checked.player.events:
        if not finite(event.observation):
            return "wrong", f"{event.call}: NaN or infinity in the observation", "Clip or mask it."
        if (number := largest(event.observation)) > FLOAT32:
            text = f"{event.call}: the observation has {number:.2g} in it, {HOLDS}"
            return "wrong", text, "Clip or scale it."
        if event.call.startswith("reset"):
            continue
        found = _reward(event)
        if found[0] == "wrong":
            return found
        warning = warning or (found if found[0] == "warning" else None)
    return warning or ("ok", "observations and rewards are finite")


def _reward(event: Event) -> Result:
    if not hasattr(event.reward, "__float__") or np.ndim(event.reward) != 0:
        kind = type(event.reward).__name__
        return "wrong", f"{event.call}: the reward has type {kind}", "Return a float."
    try:
        reward = float(event.reward)
    except OverflowError:  # a whole number without end
        reward = math.inf
    said = f"{event.call}: the reward is {reward:.2g}"
    if not math.isfinite(reward):
        return "wrong", said, "Return a finite number."
    if abs(reward) > FLOAT32:
        return "wrong", f"{said}, {HOLDS}", "Divide rewards by a constant."
    if abs(reward) > SQUARES:
        text = f"{said}: squared, as in the loss, it is infinite in float32"
        return "warning", text, "Divide rewards by a constant."
    return "ok", ""


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
        text = f"same seed and actions, but {checked.difference}: no run can be repeated"
        return "warning", text, fix
    return "ok", "two copies with the same seed and actions play the same game"


def check_isolation(checked: CheckedEnv) -> Result:
    fix = "Keep state on self, not on the class, the module or the machine."
    if checked.player.error:
        return "skipped", "not checked: it does not play"
    if checked.short and checked.slow_to_create:
        return "skipped", "not checked before training: creating it takes long"
    if checked.no_copy:
        return "wrong", f"a second instance cannot be created: {checked.no_copy}", fix
    if checked.difference is not None:
        return "skipped", "not checked: the same seed gives different games"
    beside, disturbing = Player(checked.make(), seed=7), Player(checked.make(), seed=8)
    for _ in checked.player.events:
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
    "training": check_training,
    "episodes": check_episodes,
    "seeds": check_seeds,
    "isolation": check_isolation,
    "process": check_process,
    "films": check_films,
    "size": check_size,
    "speed": check_speed,
    "close": check_close,
    "leftovers": check_leftovers,
}
LONG = ("episodes", "seeds", "process", "films", "size", "speed")
"""Checks that training does not begin with: they find nothing that it would refuse."""


def run_checks(
    checked: CheckedEnv, tell: Callable[[str, object], object] = lambda kind, content: None
) -> list[Finding]:
    """Every finding, in the order of `CHECKS`, with Gymnasium's own checker just before closing.

    `tell("begin", check)` and `tell("finding", finding)` are called as it goes. The environment's
    output goes to standard error.
    """
    findings: list[Finding] = []

    def add(found: list[Finding]) -> None:
        findings.extend(found)
        checked.wrong = checked.wrong or any(f.verdict == "wrong" for f in found)
        for finding in found:
            tell("finding", finding)

    with contextlib.redirect_stdout(sys.stderr):
        for name, check in CHECKS.items():
            if checked.short and name in LONG:
                continue
            if name == "close" and not checked.short:
                tell("begin", "gymnasium")
                add(_gymnasium(checked, findings))
            tell("begin", name)
            try:
                add([Finding(name, *check(checked))])
            except Exception as error:  # whatever the user's code raises
                add([Finding(name, "wrong", f"the check itself failed: {short(error)}")])
            if name == "spaces" and (_unplayable(checked) or (checked.short and checked.wrong)):
                break
        checked.close_copies()
    return findings


def _unplayable(checked: CheckedEnv) -> bool:
    names = ("observation_space", "action_space")
    return not all(isinstance(getattr(checked.env, name, None), spaces.Space) for name in names)


def _gymnasium(checked: CheckedEnv, findings: list[Finding]) -> list[Finding]:
    found = {f.check for f in findings if f.verdict in ("wrong", "warning")}
    with hosting("Gymnasium's own checker"):
        said = gymnasium_findings(checked.env, found)
    if not said:
        return [Finding("gymnasium", "ok", "Gymnasium's own checker finds nothing else")]
    return [Finding("gymnasium", cast(Verdict, verdict), text) for verdict, text in said]


def _bound(space: spaces.Space[object]) -> float:
    """The largest finite bound in it."""
    if isinstance(space, spaces.Dict):
        return max(map(_bound, space.values()), default=0.0)
    if isinstance(space, spaces.Tuple):
        return max(map(_bound, space), default=0.0)
    return max(largest(space.low), largest(space.high)) if isinstance(space, spaces.Box) else 0.0
