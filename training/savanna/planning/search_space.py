"""Search spaces as users write them: `loguniform(1e-4, 1e-3)`, `choice(1, 2)`, `grid(a, b)`."""

from __future__ import annotations

import ast
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from savanna.errors import UsageError
from savanna.planning.overrides import apply_overrides
from savanna.runs.group import SEED

if TYPE_CHECKING:
    from ray.rllib.algorithms.algorithm_config import AlgorithmConfig

SPACES = {
    "uniform": "uniform(low, high)",
    "loguniform": "loguniform(low, high)",
    "randint": "randint(low, high), high excluded",
    "choice": "choice(a, b, ...)",
    "grid": "grid(a, b, ...), every value once",
}


def is_search_space(text: str) -> bool:
    """Whether `text` is written like a call of one of `SPACES`."""
    name, parenthesis, _ = text.strip().partition("(")
    return bool(parenthesis) and name in SPACES and text.strip().endswith(")")


def parse_search_space(key: str, text: str) -> Any:
    """The Ray Tune search space that `text` describes; `UsageError` naming `key` otherwise."""
    from ray import tune

    name, values = _parse(key, text)
    if name == "grid":
        return tune.grid_search(values)
    return getattr(tune, name)(*([values] if name == "choice" else values))


def draws(seed: int, is_done: Callable[[Any], bool] = lambda trial: False) -> Any:
    """Draws the same values for the same `seed`, and each of them for every requested seed.

    Trials that are done are left out.
    """
    from ray.tune.search.basic_variant import BasicVariantGenerator

    class Draws(BasicVariantGenerator):
        def next_trial(self) -> Any:
            trial = super().next_trial()
            while trial is not None and is_done(trial):
                self.on_trial_complete(trial.trial_id)
                trial = super().next_trial()
            return trial

    return Draws(random_state=seed, constant_grid_search=True)


def drawn_by(seed: int, search: Mapping[str, str], samples: int) -> list[dict[str, Any]]:
    """What the trials of a command draw, without starting any; see `draws`."""
    variants = draws(seed)
    space = {key: parse_search_space(key, text) for key, text in search.items()}
    config = {"run": "PPO", "config": space, "num_samples": samples}  # any algorithm
    variants.add_configurations({"drawn": config})
    return [dict(trial.config) for trial in iter(variants.next_trial, None)]


def values_of(key: str, text: str) -> list[Any]:
    """What a space may draw: all values, or the ends of a range and one value between."""
    name, values = _parse(key, text)
    if name in ("choice", "grid"):
        return values
    low, high = values
    if name == "randint":
        return [low, high - 1]
    return [float(low), low + (high - low) / math.pi, float(high)]


def refused(key: str, text: str, value: Any, error: Exception) -> str:
    """The error line for an invalid value."""
    said = " ".join(str(error).split())
    return said if said.startswith("--set") else f"--set {key}={text}: with {value}: {said}"


def check_values(config: AlgorithmConfig, search: Mapping[str, str]) -> None:
    """`UsageError` with one line per search space that has an invalid value."""
    problems = []
    for key, text in search.items():
        for value in values_of(key, text):
            drawn = config.copy(copy_frozen=False)
            try:
                apply_overrides(drawn, {key: value})
                drawn.validate()
            except (UsageError, ValueError, NotImplementedError) as error:
                problems.append(refused(key, text, value, error))
                break
    if problems:
        raise UsageError("\n".join(problems))


def with_seeds(search: Mapping[str, str], seeds: Sequence[int]) -> dict[str, str]:
    """`search`, with a grid over the seeds if there are several."""
    several = {SEED: f"grid({', '.join(map(str, seeds))})"} if len(seeds) > 1 else {}
    return {**search, **several}


def apply_drawn(config: AlgorithmConfig, drawn: Mapping[str, Any]) -> None:
    """Set on `config` what a search drew for one run."""
    apply_overrides(config, {key: value for key, value in drawn.items() if key != SEED})
    if SEED in drawn:
        config.debugging(seed=drawn[SEED])


def count_runs(search: Mapping[str, str], samples: int) -> int:
    """How many runs a search makes: `samples` of every combination of the grids."""
    parsed = (_parse(key, text) for key, text in search.items())
    return samples * math.prod(len(values) for name, values in parsed if name == "grid")


def _parse(key: str, text: str) -> tuple[str, list[Any]]:
    """Name and arguments."""
    known = "; ".join(SPACES.values())
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name) or call.keywords:
            raise ValueError("not a search space")
        name = call.func.id
        values = [_value(argument) for argument in call.args]
        if name in ("choice", "grid"):
            if not values:
                raise ValueError("no values")
            return name, values
        low, high = values
        if not low < high or (name == "loguniform" and low <= 0):
            raise ValueError(f"{low} to {high} is not a valid range")
        if name == "randint" and not (isinstance(low, int) and isinstance(high, int)):
            raise ValueError("whole numbers only")
        return name, values
    except (SyntaxError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--set {key}={text}: {error}. Known: {known}.") from error


def _value(node: ast.expr) -> Any:
    """A literal, or a bare word as text."""
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
