"""The command lines of the retired Azure ML Reinforcement Learning scripts, translated.

Two generations of scripts exist: `--run IMPALA --env ... --config '{...}' --stop '{...}'` and
`--algorithm IMPALA --config__env ... --stop__episode_reward_mean ...`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from savanna.cli.command_line import Option, conflicts, options_of, target
from savanna.errors import UsageError
from savanna.experiments.gym import GYM

STOP = {
    "episode_reward_mean": "return",
    "time_total_s": "seconds",
    "timesteps_total": "agent_steps",
    "training_iteration": "iterations",
}
OPTIONS = {"num_workers": "--num-env-runners", "num_gpus": "--num-gpus", "seed": "--seed"}
CONFIG = {
    "num_envs_per_worker": "num_envs_per_env_runner",
    "lr": "lr",
    "gamma": "gamma",
    "lambda": "lambda_",
    "rollout_fragment_length": "rollout_fragment_length",
    "sample_batch_size": "rollout_fragment_length",
    "train_batch_size": "train_batch_size_per_learner",
    "num_sgd_iter": "num_epochs",
    "sgd_minibatch_size": "minibatch_size",
    "entropy_coeff": "entropy_coeff",
    "vf_loss_coeff": "vf_loss_coeff",
    "grad_clip": "grad_clip",
    "buffer_size": "replay_buffer_config.capacity",
    "learning_starts": "num_steps_sampled_before_learning_starts",
    "target_network_update_freq": "target_network_update_freq",
    "training_intensity": "training_intensity",
    "n_step": "n_step",
    "dueling": "dueling",
    "double_q": "double_q",
    "tau": "tau",
}
KNOWN_CONFIG = (*OPTIONS, *CONFIG, "env", "model")
EXPERIMENTS = {("IMPALA", "PongNoFrameskip-v4"): "pong", ("PPO", "CartPole-v1"): "cartpole"}
OTHERS = tuple(name.upper() for name in GYM.others if name != "impala")
"""RLlib's own algorithms, by their names in the old service."""
DIRECT = {"--local-dir": "--runs-root", "--restore": "--resume", "--ray-address": "--address"}
DIRECT |= {"--checkpoint__frequency": "--checkpoint-freq"}
OLD_FLAGS = ("--run", "--algorithm", "--config", *DIRECT)
NESTED = ("--config__", "--stop__", "--checkpoint__frequency", "--checkpoint__at_end")


@dataclass
class _Translation:
    new: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)  # today's options, unchanged
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)  # "algorithm" and "environment"
    experiment: str | None = None  # today's positional
    set: list[tuple[str, str]] = field(default_factory=list)  # option as given, what it sets

    def add(self, old: str, *new: str) -> None:
        self.new += new
        self.lines.append(f"{old} -> {' '.join(new)}")
        self.set.append((old, target(new[0], " ".join(new[1:]))))

    def once(self, what: str, value: str, flag: str) -> None:
        if self.given.setdefault(what, value) != value:
            self.problems.append(f"{flag} {value}: {what} was already given as {self.given[what]}.")

    def stop(self, flag: str, key: str, value: Any) -> None:
        if key not in STOP:
            known = ", ".join(STOP)
            hint = _hint(key, STOP)
            self.problems.append(f"{flag}: unknown stop rule {key!r}.{hint} Known: {known}.")
        else:
            self.add(f"{flag} {value}", "--stop", f"{STOP[key]}={value}")

    def config(self, flag: str, key: str, value: Any) -> None:
        """One setting of the old `config`."""
        text = value if isinstance(value, str) else json.dumps(value)
        if key == "env":
            self.once("environment", str(value), flag)
        elif key in OPTIONS:
            self.add(f"{flag} {text}", OPTIONS[key], text)
        elif key == "model" and isinstance(value, dict):
            for part, setting in value.items():
                self.model(flag, part, setting)
        elif key.startswith("model__"):
            self.model(flag, key.removeprefix("model__"), value)
        elif key in CONFIG:
            self.add(f"{flag} {text}", "--set", f"{CONFIG[key]}={json.dumps(value)}")
        else:
            self.problems.append(
                f"{flag}: the setting {key!r} no longer exists.{_hint(key, KNOWN_CONFIG)} "
                "Omit it, or set an RLlib 2.60 setting with --set."
            )

    def model(self, flag: str, key: str, value: Any) -> None:
        """One setting of the old `config`'s `model`."""
        if key != "dim":
            self.problems.append(
                f"{flag}: the model setting {key!r} no longer exists. "
                "Omit it, or set one with --set model_config.NAME=VALUE."
            )
        elif value not in (42, 84):
            self.problems.append(f"{flag}: dim {value} is not supported; use 42 or 84.")
        else:
            self.add(f"{flag} dim {value}", "--set", f"env_config.frame_size={value}")


def translate(argv: list[str]) -> tuple[list[str], list[str]]:
    """Arguments of `savanna train` -> (today's arguments, one "old -> new" line each).

    Without an old option, returns the arguments unchanged. Raises one `UsageError` with a line for
    each option that cannot be translated.
    """
    given = options_of(argv)
    today = [o for o in given if not (o.flag == "--algorithm" and _named(given))]
    if not any(map(_is_old, today)):
        problems = [f"{o.flag} needs a value." for o in given if o.flag and o.value == ""]
        problems += conflicts((o.text, target(o.flag, o.value)) for o in given if o.flag)
        if problems:
            raise UsageError("\n".join(problems))
        return argv, []
    result = _Translation()
    named = _named(given)
    for option in given:
        if named and option.flag == "--algorithm":  # today's
            result.passed += option.words
        else:
            _translate(option, result)
    _choose_experiment(result)
    result.problems += conflicts(result.set)
    if result.problems:
        raise UsageError("\n".join(result.problems))
    return result.new + result.passed, result.lines


def _named(given: Iterable[Option]) -> bool:
    """Whether an experiment is named, so that `--algorithm` is today's."""
    return any(not option.flag or option.flag == "--experiment" for option in given)


def _is_old(option: Option) -> bool:
    if option.flag == "--stop":
        return _is_json(option.value or "")
    return option.flag in OLD_FLAGS or (option.flag.startswith("--") and "__" in option.flag)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _translate(option: Option, result: _Translation) -> None:
    flag, value, old = option.flag, option.value or "", option.text
    if not flag:
        if result.experiment is not None:
            result.problems.append(f"{value}: the experiment is already {result.experiment}.")
        result.experiment = value
    elif option.lacks_value:
        result.problems.append(f"{flag} needs a value.")
    elif flag in ("--run", "--algorithm"):
        result.once("algorithm", value, flag)
    elif flag == "--env":
        result.once("environment", value, flag)
    elif flag in DIRECT:
        result.add(old, DIRECT[flag], value)
    elif flag == "--config":
        for key, setting in _json(flag, value, result).items():
            result.config(f"--config {key}", key, setting)
    elif flag == "--stop" and _is_json(value):
        for key, limit in _json(flag, value, result).items():
            result.stop(f"--stop {key}", key, limit)
    elif flag.startswith("--config__"):
        result.config(flag, flag.removeprefix("--config__"), _plain(value))
    elif flag.startswith("--stop__"):
        result.stop(flag, flag.removeprefix("--stop__"), value)
    elif flag == "--checkpoint__at_end" and value.lower() in ("true", "false"):
        on = value.lower() == "true"
        result.add(old, "--checkpoint-at-end" if on else "--no-checkpoint-at-end")
    elif flag == "--checkpoint__at_end":
        result.problems.append(f"{old}: use True or False.")
    elif "__" in flag:
        result.problems.append(f"{flag}: unknown option.{_hint(flag, NESTED)}")
    else:
        result.passed += option.words
        result.set.append((old, target(flag, option.value)))


def _choose_experiment(result: _Translation) -> None:
    """The experiment for the old algorithm and environment, or for today's positional."""
    algorithm, env = result.given.get("algorithm"), result.given.get("environment")
    if result.experiment is not None:
        if algorithm is not None:
            result.problems.append(
                f"algorithm {algorithm} and the experiment {result.experiment}: give only one."
            )
        result.new = [result.experiment, *(["--env", env] if env else []), *result.new]
        return
    if algorithm is None and env is None:
        return
    if algorithm not in (None, "IMPALA", "PPO", *OTHERS):
        result.problems.append(
            f"no algorithm {algorithm!r}. Use IMPALA for Atari games; PPO, {', '.join(OTHERS)} for "
            "other environments."
        )
        return
    algorithm = algorithm or ("PPO" if env == "CartPole-v1" else "IMPALA")
    env = env or ("PongNoFrameskip-v4" if algorithm == "IMPALA" else "CartPole-v1")
    old = " ".join(f"{k} {v}" for k, v in result.given.items())
    if algorithm in OTHERS:
        new = ["gym", "--env", env, "--algorithm", algorithm.lower()]
    elif (algorithm, env) in EXPERIMENTS:
        new = [EXPERIMENTS[algorithm, env]]
    else:
        new = ["atari" if algorithm == "IMPALA" else "cartpole", "--env", env]
    result.new = new + result.new
    result.lines.insert(0, f"{old} -> {' '.join(new)}")


def _json(flag: str, text: str, result: _Translation) -> dict[str, Any]:
    try:
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError("not an object")
        return value
    except ValueError as error:
        result.problems.append(f"{flag} {text}: not a JSON object ({error}).")
        return {}


def _plain(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _hint(word: str, known: Iterable[str]) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
