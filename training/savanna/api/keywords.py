"""The keywords of `savanna.train`, checked: they are the fields of a request."""

from __future__ import annotations

import difflib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, fields
from operator import index
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

from savanna.cli.command_line import conflicts, target
from savanna.cli.settings_file import read_settings
from savanna.cli.values import duration, runs_root
from savanna.errors import UsageError
from savanna.experiments import EXPERIMENTS, Experiment
from savanna.planning.request import TrainRequest
from savanna.planning.search_space import is_search_space

_INTERNAL = {"search", "command", "own_process", "settings", "group"}
_OF_THE_COMMAND = {"set": "overrides", "scenario": "env"}  # difflib does not find these
SEVERAL = ("seeds", "num_samples")
"""Keywords that ask for several runs."""


def parameters() -> list[inspect.Parameter]:
    """What the signature of `savanna.train` shows."""
    kinds = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    config = inspect.Parameter("config", kinds[1], default=None, annotation="Path | str | None")
    return [
        inspect.Parameter(
            f.name, kinds[f.name != "experiment"], default=_default(f), annotation=f.type
        )
        for f in fields(TrainRequest)
        if f.name not in _INTERNAL
    ] + [config]


def _default(field: Any) -> Any:
    return None if field.default is MISSING or field.name == "runs_root" else field.default


def request_of(experiment: str | None, options: Mapping[str, Any]) -> TrainRequest:
    """The request for these keywords; `UsageError` with one line per problem.

    `None` means that the keyword is not given.
    """
    given = {name: v for name, v in {"experiment": experiment, **options}.items() if v is not None}
    if "config" in given:
        given = _with_file(given.pop("config"), given)
    problems = [_unknown(name, value) for name, value in given.items() if name not in _known()]
    taken: dict[str, Any] = {}
    for name, value in given.items():
        if name in _known():
            try:
                taken[name] = _taken(name, value)
            except UsageError as error:
                problems.append(str(error))
    problems += conflicts(_set(taken))
    if problems:
        raise UsageError("\n".join(problems))
    settings = taken.pop("overrides", {})
    search = {k: v for k, v in settings.items() if isinstance(v, str) and is_search_space(v)}
    return TrainRequest(
        **{**taken, "runs_root": runs_root(taken.get("runs_root"))},
        overrides={key: value for key, value in settings.items() if key not in search},
        search=search,
        command=("python", "-c", _typed(taken, settings)),
        own_process=False,
    )


def _with_file(path: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, and what the file at `path` says of what is not given."""
    plain = [name for name in _known() if name not in ("experiment", "overrides", "stop", "config")]
    file = read_settings(Path(_as(str, f"config={path!r}", path)).expanduser(), plain)
    said = {**file.options, "experiment": file.experiment}
    if given.keys() & {"seed", "seeds"}:
        said = {name: value for name, value in said.items() if name not in ("seed", "seeds")}
    said["keep_default_stop"] = file.keep_default_stop
    merged = {name: value for name, value in said.items() if value is not None} | dict(given)
    stop = {} if given.get("keep_default_stop") is False else file.stop
    for name, own in (("overrides", file.settings), ("stop", stop)):
        asked = given.get(name, {})
        if own and isinstance(asked, Mapping):
            merged[name] = {**own, **asked}
    return merged


def _known() -> list[str]:
    return [parameter.name for parameter in parameters()]


def _unknown(name: str, value: Any) -> str:
    close = difflib.get_close_matches(name, _known(), n=1, cutoff=0.7)
    meant = _OF_THE_COMMAND.get(name) or (close[0] if close else None)
    if meant is not None:
        return f"{name}: unknown keyword. Did you mean {meant!r}?"
    setting = f"overrides={{{name!r}: {value!r}}}"
    return f"{name}: unknown keyword. For a setting of the algorithm, use {setting}."


def _taken(name: str, value: Any) -> Any:
    """`value` with the type of the field `name`."""
    if name == "env":
        return _name_of(value)
    if name == "experiment" and isinstance(value, Experiment):
        return _reference_of(value)
    if name in ("max_duration", "start_timeout") and isinstance(value, str):
        return duration(value)
    if name in ("overrides", "stop"):
        return _settings(name, value)
    if name == "seeds" and isinstance(value, Iterable) and not isinstance(value, str):
        return tuple(_as(int, f"seeds={value!r}", seed) for seed in value)
    hint = get_type_hints(TrainRequest)[name]
    return _as((get_args(hint) or (hint,))[0], f"{name}={value!r}", value)


def _settings(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise UsageError(f"{name}={value!r}: must be a dictionary, such as {_EXAMPLES[name]}.")
    if name == "stop":
        return {key: _as(float, f"stop={{{key!r}: {v!r}}}", v) for key, v in value.items()}
    # NumPy's numbers and arrays become Python's.
    return {key: v.tolist() if hasattr(v, "tolist") else v for key, v in value.items()}


_EXAMPLES = {"overrides": '{"lr": 5e-4}', "stop": '{"return": 100}'}


def _as(kind: Any, text: str, value: Any) -> Any:
    what, take = _KINDS[kind]
    try:
        if isinstance(value, bool) != (kind is bool) or (kind is float and isinstance(value, str)):
            raise TypeError
        return take(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{text}: must be {what}.") from error


_KINDS: dict[Any, tuple[str, Callable[[Any], Any]]] = {
    bool: ("True or False", bool),
    int: ("a whole number", index),
    float: ("a number", float),
    str: ("text", os.fspath),
    Path: ("a folder", Path),
}


def _name_of(env: Any) -> str:
    """`module:Class`, by which every process of a training can import the environment."""
    if isinstance(env, str):
        return env
    module, name = getattr(env, "__module__", None), getattr(env, "__qualname__", None)
    if not callable(env) or not isinstance(name, str):
        raise UsageError(
            f"env={env!r:.80}: give a Gymnasium id, the environment's class, or its name as "
            '"module:Class".'
        )
    if module == "__main__" or getattr(sys.modules.get(str(module)), name, None) is not env:
        raise UsageError(
            f"env={name}: it is defined in a script, a notebook or a function, so other processes "
            "cannot import it. Put it in a file of its own, such as my_env.py, and give "
            f'env="my_env:{name.rpartition(".")[2]}".'
        )
    return f"{module}:{name}"


def _reference_of(experiment: Experiment) -> str:
    """`module:NAME` of the user's own experiment, the name of one of ours."""
    if experiment.source or EXPERIMENTS.get(experiment.name) is experiment:
        return experiment.source or experiment.name
    for module in [m for m in sys.modules.values() if isinstance(m, ModuleType)]:
        name = next((k for k, v in vars(module).items() if v is experiment), None)
        if name is not None and module.__name__ != "__main__":
            return f"{module.__name__}:{name}"
    raise UsageError(
        f"experiment={experiment.name!r}: it is defined in a script, a notebook or a function, so "
        "other processes cannot import it. Put it in a file of its own, such as my_experiment.py, "
        'and give experiment="my_experiment.py".'
    )


def _set(taken: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Each given keyword and what it sets, for `conflicts`."""
    plain = taken.keys() - {"overrides", "stop"}
    found = [(name, target(f"--{name.replace('_', '-')}", None)) for name in taken if name in plain]
    for name, flag in (("overrides", "--set"), ("stop", "--stop")):
        found += [(f"{name}[{key!r}]", target(flag, key)) for key in taken.get(name, {})]
    return found


def _typed(taken: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The call, as Python code."""
    given = {**taken, **({"overrides": dict(settings)} if settings else {})}
    words = [f"{k}={(str(v) if isinstance(v, Path) else v)!r}" for k, v in given.items()]
    return f"import savanna; savanna.train({', '.join(words)})"
