"""The command lines of the retired Azure ML Reinforcement Learning scripts, in today's words.

Two generations of scripts exist: `--run IMPALA --env ... --config '{...}' --stop '{...}'` and
`--algorithm IMPALA --config__env ... --stop__episode_reward_mean ...`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from training.errors import UsageError

STOP = {
    "episode_reward_mean": "return",
    "time_total_s": "seconds",
    "timesteps_total": "agent_steps",
    "training_iteration": "iterations",
}
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
}
CHOICES = {("IMPALA", "PongNoFrameskip-v4"): "pong", ("PPO", "CartPole-v1"): "cartpole"}
DIRECT = {"--local-dir": "--runs-root", "--restore": "--resume", "--ray-address": "--address"}
OLD_WORDS = ("--run", "--algorithm", "--config", *DIRECT)
# Today's options that take no value, and those whose values add up instead of replacing each other.
BARE = ("--checkpoint-at-end", "--no-checkpoint-at-end", "--no-video", "--no-report", "--dry-run")
BARE += ("--json", "--debug", "--help", "-h")
KEYED = ("--set", "--stop")


@dataclass
class _Translation:
    new: list[str] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    given: dict[str, str] = field(default_factory=dict)  # what is given once: algorithm, env
    passed: list[str] = field(default_factory=list)  # new-style words, as they are
    experiment: str | None = None  # the new-style positional
    claims: dict[str, str] = field(default_factory=dict)  # today's option -> the words that gave it

    def add(self, old: str, *new: str) -> None:
        self._claim(old, *new)
        self.new += new
        self.lines.append(f"{old} -> {' '.join(new)}")

    def keep(self, *new: str) -> None:
        """Today's words; two of them are argparse's business, an old and a new one are ours."""
        words = " ".join(new)
        if self.claims.get(_target(*new), words) not in self.passed_words:
            self._claim(words, *new)
        self.passed_words.add(words)
        self.passed += new

    passed_words: set[str] = field(default_factory=set)

    def _claim(self, words: str, *new: str) -> None:
        first = self.claims.setdefault(_target(*new), words)
        if first != words:
            self.problems.append(f"{words}: says the same as {first}, give one of them.")

    def once(self, what: str, value: str, flag: str) -> None:
        if self.given.setdefault(what, value) != value:
            self.problems.append(f"{flag} {value}: {what} was already given as {self.given[what]}.")

    def stop(self, flag: str, key: str, value: Any) -> None:
        if key not in STOP:
            self.problems.append(f"{flag}: unknown stop rule {key!r}.{_hint(key, STOP)}")
        else:
            self.add(f"{flag} {value}", "--stop", f"{STOP[key]}={value}")

    def config(self, flag: str, key: str, value: Any) -> None:
        """One setting of the old `config`."""
        old = f"{flag} {json.dumps(value) if not isinstance(value, str) else value}"
        if key == "env":
            self.once("environment", str(value), flag)
        elif key == "num_workers":
            self.add(old, "--num-env-runners", str(value))
        elif key == "num_gpus":
            self.add(old, "--num-gpus", str(value))
        elif key == "seed":
            self.add(old, "--seed", str(value))
        elif key == "model" and isinstance(value, dict) and set(value) <= {"dim"}:
            if value.get("dim") not in (42, 84):
                self.problems.append(
                    f"{flag}: dim {value.get('dim')} is not supported, use 42 or 84."
                )
            else:
                self.add(old, "--set", f"env_config.frame_size={value['dim']}")
        elif key in CONFIG:
            self.add(old, "--set", f"{CONFIG[key]}={json.dumps(value)}")
        else:
            self.problems.append(
                f"{flag}: the setting {key!r} has no counterpart.{_hint(key, CONFIG)} "
                "Leave it out, or give an RLlib 2.60 setting with --set."
            )


def translate(argv: list[str]) -> tuple[list[str], list[str]]:
    """Arguments of `savanna train` -> (today's arguments, one "old -> new" line each).

    Without an old option the arguments come back untouched. What cannot be honoured is a
    `UsageError` that names it; all of them in one.
    """
    if not any(_is_old(word, argv, i) for i, word in enumerate(argv)):
        return argv, []
    result, words = _Translation(), list(argv)
    while words:
        _translate_next(words, result)
    _choose_experiment(result)
    if result.problems:
        raise UsageError("\n".join(result.problems))
    return result.new + result.passed, result.lines


def _is_old(word: str, argv: list[str], index: int) -> bool:
    name = word.partition("=")[0]
    after = argv[index + 1] if index + 1 < len(argv) else ""
    return name in OLD_WORDS or "__" in name or (name == "--stop" and after.startswith("{"))


def _translate_next(words: list[str], result: _Translation) -> None:
    word = words.pop(0)
    flag, equals, inline = word.partition("=")

    def value() -> str:
        if equals:
            return inline
        if not words or words[0].startswith("--"):
            raise UsageError(f"{flag} needs a value.")
        return words.pop(0)

    if flag in ("--run", "--algorithm"):
        result.once("algorithm", value(), flag)
    elif flag == "--env":
        result.once("environment", value(), flag)
    elif flag in DIRECT:
        given = value()
        result.add(f"{flag} {given}", DIRECT[flag], given)
    elif flag == "--config":
        for key, setting in _json(flag, value(), result).items():
            result.config(f"--config {key}", key, setting)
    elif flag == "--stop" and (inline or (words[0] if words else "")).startswith("{"):
        for key, limit in _json(flag, value(), result).items():
            result.stop(f"--stop {key}", key, limit)
    elif flag.startswith("--config__"):
        key = flag.removeprefix("--config__")
        result.config(flag, key, _plain(value()))
    elif flag.startswith("--stop__"):
        result.stop(flag, flag.removeprefix("--stop__"), _plain(value()))
    elif flag == "--checkpoint__frequency":
        frequency = value()
        result.add(f"{flag} {frequency}", "--checkpoint-freq", frequency)
    elif flag == "--checkpoint__at_end":
        wanted = value()
        if wanted not in ("True", "False", "true", "false"):
            result.problems.append(f"{flag} {wanted}: write True or False.")
        off = wanted.lower() == "false"
        result.add(f"{flag} {wanted}", "--no-checkpoint-at-end" if off else "--checkpoint-at-end")
    elif "__" in flag and flag.startswith("--"):
        known = ("--config__", "--stop__", "--checkpoint__frequency", "--checkpoint__at_end")
        result.problems.append(f"{flag}: unknown option.{_hint(flag, known)}")
        _skip_value(words, equals)
    else:
        result.passed.append(word)


def _skip_value(words: list[str], equals: str) -> None:
    if not equals and words and not words[0].startswith("--"):
        words.pop(0)


def _choose_experiment(result: _Translation) -> None:
    algorithm, env = result.given.get("algorithm"), result.given.get("environment")
    if algorithm is None and env is None:
        return
    if algorithm not in (None, "IMPALA", "PPO"):
        result.problems.append(
            f"algorithm {algorithm!r} is not here. IMPALA plays Atari games, PPO plays CartPole-v1."
        )
        return
    algorithm = algorithm or "IMPALA"
    env = env or ("PongNoFrameskip-v4" if algorithm == "IMPALA" else "CartPole-v1")
    old = " ".join(f"{k} {v}" for k, v in result.given.items())
    if (algorithm, env) in EXPERIMENTS:
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
    parse: Callable[[str], Any] = json.loads
    try:
        return parse(text)
    except ValueError:
        return text


def _hint(word: str, known: Any) -> str:
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]!r}?" if close else ""
