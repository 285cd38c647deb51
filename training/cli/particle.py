"""The options of `savanna train particle`, and those of the retired service's particle script."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from training.errors import UsageError

ALGORITHMS = {"maddpg": "particle", "ppo": "particle-ppo", "ippo": "particle-ippo"}
POLICIES = ("maddpg", "ddpg")
ACTIONS = {"continuous": "true", "discrete": "false"}
MAX_TIME = "AML_MAX_TRAIN_TIME_SECONDS"

OPTIONS = ("--num-gpus", "--checkpoint-freq")  # the same then and now
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
    "--n-step": ("n_step", int, "at least 1"),
    "--sample-batch-size": ("rollout_fragment_length", int, "at least 1"),
    "--train-batch-size": ("train_batch_size_per_learner", int, "at least 1"),
    "--num-envs-per-worker": ("num_envs_per_env_runner", int, "at least 1"),
    "--max-episode-len": ("env_config.max_cycles", int, "at least 1"),
    "--num-agents": ("env_config.num_agents", int, "at least 1"),
    "--num-adversaries": ("env_config.num_adversaries", int, "at least 0"),
}
"""Option -> (key of `--set`, type, what it may be)."""

OWN = (
    "--scenario", "--num-agents", "--num-adversaries", "--good-policy", "--adv-policy", "--actions",
)  # fmt: skip
"""Options of today that mean a particle world; with `--algorithm` they are shown as they are."""

MARKS = (*OWN, "--final-reward", "--max-episode-len", "--num-units")
"""Options that only a particle experiment has: it need not be named then."""
MADDPG_ONLY = ("--good-policy", "--adv-policy", "--n-step", "--num-units", "--sample-batch-size")


@dataclass
class _Translation:
    new: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    experiment: str = "particle"
    scenario: str | None = None
    max_cycles: int = 25
    num_agents: int | None = None
    final: str | None = None
    given: set[str] = field(default_factory=set)

    def add(self, flag: str, value: str, *new: str) -> None:
        self.new += new
        if flag not in OWN:
            self.lines.append(f"{flag} {value} -> {' '.join(new)}")


def is_particle(argv: Sequence[str]) -> bool:
    """Whether the arguments of `savanna train` are about a particle world."""
    names = {word.partition("=")[0] for word in argv}
    return any(name in ALGORITHMS.values() for name in argv) or bool(names & set(MARKS))


def translate(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Arguments of `savanna train` -> (those of every experiment, one "old -> new" line each).

    Raises `UsageError`, a line for everything that is wrong.
    """
    result, words = _Translation(), list(argv)
    named: list[str] = []
    while words:
        word = words.pop(0)
        flag, equals, inline = word.partition("=")
        known = flag in (*RENAMED, *SETTINGS, *MARKS, "--algorithm", "--run", "--env", "--stop")
        if not word.startswith("-"):
            named.append(word)
        elif not known:
            result.new.append(word)
            if not equals and words and not words[0].startswith("-") and _takes_value(flag):
                result.new.append(words.pop(0))
        elif not equals and (not words or words[0].startswith("--")):
            result.problems.append(f"{flag} needs a value.")
        else:
            _take(flag, inline if equals else words.pop(0), result)
    _experiment(named, result)
    _final_reward(result)
    _limit_of_time(result)
    if result.problems:
        raise UsageError("\n".join(result.problems))
    resumed = any(word.partition("=")[0] == "--resume" for word in result.new)
    return ([] if resumed and not named else [result.experiment]) + result.new, result.lines


def _takes_value(flag: str) -> bool:
    return not flag.startswith(
        ("--checkpoint-at-end", "--no-", "--dry-run", "--json", "--debug", "--help", "-h", "--wait")
    )


def _take(flag: str, value: str, result: _Translation) -> None:
    if flag in result.given and flag != "--stop":
        result.problems.append(f"{flag} {value}: given twice.")
        return
    result.given.add(flag)
    if flag == "--stop":
        result.new += [flag, value]
        result.given.add(f"--stop {value.partition('=')[0]}")
    elif flag in ("--algorithm", "--run"):
        if value.lower().removeprefix("contrib/") not in ALGORITHMS:
            known = ", ".join(ALGORITHMS)
            result.problems.append(f"{flag} {value}: particle worlds know {known}.")
        else:
            result.experiment = ALGORITHMS[value.lower().removeprefix("contrib/")]
    elif flag in RENAMED or flag == "--env":
        result.scenario = value if flag in ("--scenario", "--env") else result.scenario
        result.add("--scenario" if flag == "--env" else flag, value, RENAMED.get(flag, flag), value)
    elif flag in ("--good-policy", "--adv-policy"):
        key = flag.removeprefix("--").replace("-", "_")
        if value not in POLICIES:
            result.problems.append(f"{flag} {value}: must be {' or '.join(POLICIES)}.")
        result.add(flag, value, "--set", f"{key}={value}")
    elif flag == "--actions":
        if value not in ACTIONS:
            result.problems.append(f"--actions {value}: must be {' or '.join(ACTIONS)}.")
        setting = f"env_config.continuous={ACTIONS.get(value)}"
        result.add(flag, value, "--set", setting)
    elif flag == "--num-units":
        units = _number(flag, value, int, "at least 1", result)
        for part in ("actor", "critic"):
            result.add(flag, value, "--set", f"model_config.{part}_hiddens=[{units}, {units}]")
    elif flag == "--final-reward":
        result.final = value
    else:
        key, kind, least = SETTINGS[flag]
        number = _number(flag, value, kind, least, result)
        result.add(flag, value, "--set", f"{key}={number}")
        if flag == "--max-episode-len" and number:
            result.max_cycles = number
        if flag == "--num-agents":
            result.num_agents = number


def _number(flag: str, text: str, kind: type, least: str, result: _Translation) -> Any:
    try:
        number = kind(text)
        if {
            "at least 1": number >= 1,
            "at least 0": number >= 0,
            "above 0": number > 0,
            "between 0 and 1": 0 <= number <= 1,
        }[least]:
            return number
    except ValueError:
        pass
    what = "a whole number" if kind is int else "a number"
    result.problems.append(f"{flag} {text}: must be {what} {least}.")
    return None


def _experiment(named: list[str], result: _Translation) -> None:
    if len(named) > 1:
        result.problems.append(f"{named[1]}: the experiment was given as {named[0]}.")
    chosen = {"--algorithm", "--run"} & result.given
    if named and named[0] not in ALGORITHMS.values():
        marks = ", ".join(sorted(result.given & set(MARKS)))
        result.problems.append(f"{marks}: only for the experiment particle, not {named[0]}.")
    elif named and not chosen:
        result.experiment = named[0]
    elif named and named[0] not in ("particle", result.experiment):
        result.problems.append(f"--algorithm and the experiment {named[0]}: give one of them.")
    if result.experiment != "particle":
        for flag in sorted(result.given & set(MADDPG_ONLY)):
            result.problems.append(f"{flag}: of MADDPG; {result.experiment} has nothing like it.")


def _final_reward(result: _Translation) -> None:
    """`--final-reward` is on the retired service's scale, `--stop return=` on mpe2's."""
    if result.final is None:
        return
    from training.envs.multi_agent import old_scale_of

    scenario = result.scenario or "simple_spread"
    settings = {"max_cycles": result.max_cycles, "num_agents": result.num_agents}
    scale = old_scale_of({"env": scenario, "env_config": settings})
    if "--stop return" in result.given:
        result.problems.append(f"--final-reward {result.final} and --stop return: give one.")
    if scale is None:
        result.problems.append(
            f"--final-reward {result.final}: how the old service's returns of {scenario} read "
            "today is not known. Give today's mean return with --stop return=NUMBER."
        )
        return
    try:
        rule = (float(result.final) - scale.constant) / scale.factor
    except ValueError:
        result.problems.append(f"--final-reward {result.final}: not a number.")
        return
    result.add("--final-reward", result.final, "--stop", f"return={rule:.6g}")


def _limit_of_time(result: _Translation) -> None:
    """The retired service told its script so how long it may train."""
    text = os.environ.get(MAX_TIME)
    if not text or "--stop seconds" in result.given:
        return
    try:
        if not float(text) > 0:
            raise ValueError
    except ValueError:
        result.problems.append(f"{MAX_TIME}={text}: must be a number of seconds above 0.")
        return
    result.add(MAX_TIME, text, "--stop", f"seconds={text}")
