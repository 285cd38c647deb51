"""The options of `savanna train particle`, and those of the retired service's particle script."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from savanna.cli.command_line import Option, conflicts, options_of, target
from savanna.errors import UsageError
from savanna.experiments.doom import DOOM

ALGORITHMS = {"maddpg": "particle", "ppo": "particle-ppo", "ippo": "particle-ippo"}
POLICIES = ("maddpg", "ddpg")
ACTIONS = {"continuous": "true", "discrete": "false"}
MAX_TIME = "AML_MAX_TRAIN_TIME_SECONDS"

RENAMED = {
    "--num-workers": "--num-env-runners",
    "--restore": "--resume",
    "--local-dir": "--runs-root",
    "--ray-address": "--address",
    "--scenario": "--env",
}
SETTINGS = {
    "--lr": ("lr", float, "above 0"),
    "--gamma": ("gamma", float, "between 0 and 1"),
    "--n-step": ("n_step", int, "of at least 1"),
    "--sample-batch-size": ("rollout_fragment_length", int, "of at least 1"),
    "--train-batch-size": ("train_batch_size_per_learner", int, "of at least 1"),
    "--num-envs-per-worker": ("num_envs_per_env_runner", int, "of at least 1"),
    "--max-episode-len": ("env_config.max_cycles", int, "of at least 1"),
    "--num-agents": ("env_config.num_agents", int, "of at least 1"),
    "--num-adversaries": ("env_config.num_adversaries", int, "of at least 0"),
}
"""Option -> (key of `--set`, type, limit)."""

OWN = (
    "--scenario",
    "--num-agents",
    "--num-adversaries",
    "--good-policy",
    "--adv-policy",
    "--actions",
)
"""Today's options for particle worlds; they are translated silently."""

MARKS = (*OWN, "--final-reward", "--max-episode-len", "--num-units")
"""Options that only particle experiments have, so that naming the experiment is optional."""
MADDPG_ONLY = ("--good-policy", "--adv-policy", "--n-step", "--num-units", "--sample-batch-size")
NAMES = ("--algorithm", "--run")
VALUED = (*RENAMED, *SETTINGS, *MARKS, *NAMES)


@dataclass
class _Translation:
    new: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    set: list[tuple[str, str]] = field(default_factory=list)  # option as given, what it sets
    named: list[str] = field(default_factory=list)
    experiment: str | None = None  # of `--algorithm`

    def add(self, option: Option, flag: str, value: str) -> None:
        self.new += [f"{flag}={value}"] if value.startswith("-") else [flag, value]
        self.set.append((option.text, target(flag, value)))
        if option.flag not in OWN:
            self.lines.append(f"{option.text} -> {flag} {value}")


def concerns(argv: Sequence[str]) -> bool:
    """Whether the arguments of `savanna train` are about a particle world."""
    given = options_of(argv)
    if any(o.value == DOOM.name for o in given if not o.flag):  # its scenarios are its own
        return any(o.flag in MARKS and o.flag != "--scenario" for o in given)
    if any(o.value in ALGORITHMS.values() for o in given if not o.flag):
        return True
    # PPO in capitals is the retired service's, for other experiments.
    named = any(not o.flag or o.flag == "--experiment" for o in given)  # and no particle world
    names = [] if named else [o.value or "" for o in given if o.flag in NAMES]
    known = any(_experiment(name) and name != "PPO" for name in names)
    return known or any(o.flag in MARKS for o in given)


def translate(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments of `savanna train` -> (those of every experiment, one "old -> new" line each).

    Raises `UsageError`, with one line per problem.
    """
    result, given = _Translation(), options_of(argv)
    for option in given:
        _take(option, result)
    name = _name(given, result)
    _limit_of_time(result)
    result.problems += conflicts(result.set)
    if result.problems:
        raise UsageError("\n".join(result.problems))
    return ([] if name is None else [name]) + result.new, result.lines


def _take(option: Option, result: _Translation) -> None:
    flag, value = option.flag, option.value or ""
    if not flag:
        result.named.append(value)
    elif option.value == "" or (option.lacks_value and flag in VALUED):
        result.problems.append(f"{flag} needs a value.")
    elif flag in NAMES:
        result.set.append((option.text, "--algorithm"))
        result.experiment = _experiment(value)
        if result.experiment is None:
            known = ", ".join(ALGORITHMS)
            result.problems.append(f"{option.text}: particle worlds support {known}.")
    elif flag in RENAMED:
        result.add(option, RENAMED[flag], value)
    elif flag in ("--good-policy", "--adv-policy"):
        if value not in POLICIES:
            result.problems.append(f"{option.text}: must be {' or '.join(POLICIES)}.")
        result.add(option, "--set", f"{flag.removeprefix('--').replace('-', '_')}={value}")
    elif flag == "--actions":
        if value not in ACTIONS:
            result.problems.append(f"{option.text}: must be {' or '.join(ACTIONS)}.")
        result.add(option, "--set", f"env_config.continuous={ACTIONS.get(value)}")
    elif flag == "--num-units":
        units = _number(option, int, "of at least 1", result)
        for part in ("actor", "critic"):
            result.add(option, "--set", f"model_config.{part}_hiddens=[{units}, {units}]")
    elif flag == "--final-reward":
        _number(option, float, "", result)
        result.add(option, "--stop", f"old_return={value}")  # today's option, on the old scale
    elif flag in SETTINGS:
        key, kind, least = SETTINGS[flag]
        result.add(option, "--set", f"{key}={_number(option, kind, least, result)}")
    else:
        result.new += option.words
        result.set.append((option.text, target(flag, option.value)))


def _number(option: Option, kind: type, least: str, result: _Translation) -> float | None:
    try:
        number: float = kind(option.value)
        fits = {
            "of at least 1": number >= 1,
            "of at least 0": number >= 0,
            "above 0": number > 0,
            "between 0 and 1": 0 <= number <= 1,
            "": True,
        }
        if fits[least] and math.isfinite(number):
            return number
    except ValueError:
        pass
    what = "a whole number" if kind is int else "a finite number"
    result.problems.append(f"{option.text}: must be {f'{what} {least}'.strip()}.")
    return None


def _experiment(algorithm: str) -> str | None:
    """`contrib/MADDPG` was its name in the retired service."""
    return ALGORITHMS.get(algorithm.lower().removeprefix("contrib/"))


def _name(given: Sequence[Option], result: _Translation) -> str | None:
    """The experiment; `None` if it is that of the resumed run."""
    flags = {option.flag for option in given}
    first = result.named[0] if result.named else None
    if len(result.named) > 1:
        result.problems.append(f"{result.named[1]}: the experiment is already {first}.")
    if first is not None and first not in ALGORITHMS.values():
        own = {"--scenario"} if first == DOOM.name else set()
        marks = ", ".join(sorted(flags & set(MARKS) - own))
        result.problems.append(f"{marks}: only for the experiment particle, not {first}.")
    elif result.experiment and first not in (None, "particle", result.experiment):
        result.problems.append(f"--algorithm and the experiment {first}: give only one.")
    name = result.experiment or first
    if name in ("particle-ppo", "particle-ippo"):
        for flag in sorted(flags & set(MADDPG_ONLY)):
            result.problems.append(f"{flag}: only for MADDPG; {name} has no such option.")
    resumed = [o.value or "" for o in given if o.flag in ("--resume", "--restore")]
    if name is None and resumed and not _is_checkpoint(resumed[0]):
        return None
    return name or "particle"


def _is_checkpoint(reference: str) -> bool:
    """Whether `reference` is a checkpoint folder, which starts a new run, and not a run."""
    return re.fullmatch(r"checkpoint_\d+", PurePath(reference).name) is not None


def _limit_of_time(result: _Translation) -> None:
    """Apply the training time limit, which the retired service passed in a variable."""
    text = os.environ.get(MAX_TIME)
    if not text or any(name == "--stop seconds" for _, name in result.set):
        return
    try:
        if not 0 < float(text) < math.inf:
            raise ValueError
    except ValueError:
        result.problems.append(f"{MAX_TIME}={text}: must be a finite number of seconds above 0.")
        return
    result.add(Option(MAX_TIME, text, ()), "--stop", f"seconds={text}")
