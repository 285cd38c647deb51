"""Search spaces as users write them: `loguniform(1e-4, 1e-3)`, `choice(1, 2)`, `grid(a, b)`."""

from __future__ import annotations

import ast
from typing import Any

from training.errors import UsageError

SPACES = {
    "uniform": "uniform(low, high)",
    "loguniform": "loguniform(low, high)",
    "randint": "randint(low, high), high not included",
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
            return tune.choice(values) if name == "choice" else tune.grid_search(values)
        low, high = values
        if not low < high or (name == "loguniform" and low <= 0):
            raise ValueError(f"{low} to {high} is no range")
        return {"uniform": tune.uniform, "loguniform": tune.loguniform, "randint": tune.randint}[
            name
        ](low, high)
    except (SyntaxError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"--set {key}={text}: {error}. Known: {known}.") from error


def _value(node: ast.expr) -> Any:
    """A literal, or a bare word as text."""
    return node.id if isinstance(node, ast.Name) else ast.literal_eval(node)
