"""What is wrong with an environment, found before training costs anything.

Every check is a small function from a `Subject` to a finding; all of them run, so that all
findings come at once. What one check explains, the others do not say again.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from gymnasium import spaces

from savanna.envs.atari import is_atari
from savanna.envs.gymnasium_check import gymnasium_findings
from savanna.envs.outside_checks import check_close, check_films, check_process
from savanna.envs.random_play import Player
from savanna.envs.single import EPISODE_LIMIT, time_limited, unsupported
from savanna.envs.subject import (
    EVENTS,
    Result,
    Subject,
    Verdict,
    finite,
    observation_bytes,
    outside,
    short,
)

MANY_INPUTS = 4_000  # of the dense network


@dataclass(frozen=True)
class Finding:
    """What one check says, in one line, and what to do about it."""

    check: str
    verdict: Verdict
    text: str
    fix: str = ""


def check_spaces(subject: Subject) -> Result:
    if problem := unsupported(subject.env):
        return "wrong", problem, "Our experiments train discrete actions on flattened observations."
    experiment = "atari" if is_atari(subject.name) else "gym"
    command = f"savanna train {experiment} --env {subject.name}"
    return "ok", f"{subject.env.action_space}; train it with: {command}"


def check_play(subject: Subject) -> Result:
    if error := subject.player.error or subject.long_play.error:
        return "wrong", error, "Random actions must be playable, again after reset."
    return "ok", f"{EVENTS} random steps and resets"


def check_observations(subject: Subject) -> Result:
    space = subject.env.observation_space
    for event in subject.player.events:
        if not finite(event.observation):
            continue  # another check's matter
        if problem := outside(space, event.observation):
            return (
                "wrong",
                f"{event.call}: the observation {problem}",
                ("Return what observation_space promises, or declare what is returned."),
            )
    return "ok", "all in the space and of its dtype"


def check_numbers(subject: Subject) -> Result:
    for event in subject.player.events:
        if not finite(event.observation):
            return "wrong", f"{event.call}: NaN or infinity in the observation", "Clip or mask it."
        if event.call.startswith("reset"):
            continue
        kinds = (int, float, np.integer, np.floating)
        if not isinstance(event.reward, kinds):
            kind = type(event.reward).__name__
            return "wrong", f"{event.call}: the reward is of type {kind}", "Return a float."
        if not np.isfinite(event.reward):
            return "wrong", f"{event.call}: the reward is {event.reward}", "Return a finite one."
    return "ok", "observations and rewards are finite"


def check_flags(subject: Subject) -> Result:
    for event in subject.player.events:
        for name in ("terminated", "truncated"):
            flag = getattr(event, name)
            if flag is not None and not isinstance(flag, (bool, np.bool_)):
                text = f"{event.call}: {name} is {flag!r} of type {type(flag).__name__}"
                return "wrong", text, f"Return bool({name})."
    return "ok", "terminated and truncated are booleans"


def check_episodes(subject: Subject) -> Result:
    played = subject.long_play
    if played.error:
        return "skipped", f"not judged: {played.error}"
    if played.first_end is not None:
        return "ok", f"the first episode of random play ended after {played.first_end:,} steps"
    if time_limited(subject.env) or is_atari(subject.name):
        return "ok", f"no end in {played.steps:,} random steps, but there is a time limit"
    return (
        "warning",
        f"no end in {played.steps:,} random steps ({played.seconds:.0f} s) and no time limit",
        f"Training cuts episodes after {EPISODE_LIMIT:,} steps; return truncated=True earlier.",
    )


def check_seeds(subject: Subject) -> Result:
    if subject.no_copy:
        return "skipped", "not judged, there can be no second one"
    if subject.difference is not None:
        return (
            "wrong",
            f"same seed and actions, but {subject.difference}",
            "Call super().reset(seed=seed), draw only from self.np_random, reset everything.",
        )
    return "ok", "two copies with the same seed and actions play the same game"


def check_isolation(subject: Subject) -> Result:
    fix = "Keep state on self, not on the class, the module or the machine."
    if subject.no_copy:
        return "wrong", f"a second one beside it cannot be made: {subject.no_copy}", fix
    if subject.difference is not None:
        return "skipped", "not judged while seeds do not repeat"
    beside, disturbing = Player(subject.make(), seed=7), Player(subject.make(), seed=8)
    for _ in range(EVENTS):
        beside.advance()
        disturbing.advance()
    if difference := subject.player.difference(beside):
        return "wrong", f"a second one playing beside it changes it: {difference}", fix
    return "ok", "two in one process do not disturb each other"


def check_size(subject: Subject) -> Result:
    space = subject.env.observation_space
    size = observation_bytes(space)
    if size is None:
        return "skipped", "observations have no fixed size"
    inputs = spaces.flatdim(space)
    text = f"an observation has {size:,} bytes, {inputs:,} numbers"
    if inputs > MANY_INPUTS and not is_atari(subject.name):
        return "warning", f"{text} for a small dense network", "Make it smaller: crop, shrink."
    return "ok", text


def check_speed(subject: Subject) -> Result:
    played = subject.long_play
    if played.error or not played.steps:
        return "skipped", f"not measured: {played.error}"
    return "ok", f"{played.steps_per_second:,.0f} steps per second on one core"


CHECKS: dict[str, Callable[[Subject], Result]] = {
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


def run_checks(subject: Subject) -> list[Finding]:
    """Every finding, in the order of `CHECKS`, Gymnasium's own checker last but for closing.

    What the environment prints goes to standard error.
    """
    findings: list[Finding] = []
    with contextlib.redirect_stdout(sys.stderr):
        for name, check in CHECKS.items():
            if name == "close":
                findings += _gymnasium(subject, findings)
            try:
                findings.append(Finding(name, *check(subject)))
            except Exception as error:  # whatever the user's code raises
                findings.append(Finding(name, "wrong", f"the check itself failed: {short(error)}"))
            if name == "spaces" and not all(
                isinstance(getattr(subject.env, space, None), spaces.Space)
                for space in ("observation_space", "action_space")
            ):
                break  # nothing can be played
        subject.close_copies()
    return findings


def _gymnasium(subject: Subject, findings: list[Finding]) -> list[Finding]:
    found = {finding.check for finding in findings if finding.verdict == "wrong"}
    said = gymnasium_findings(subject.env, found)
    if not said:
        return [Finding("gymnasium", "ok", "its own checker finds nothing more")]
    return [Finding("gymnasium", cast(Verdict, verdict), text) for verdict, text in said]
