"""`--config FILE`: options and settings from a YAML file, or from the `config.json` of a run."""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from savanna.cli.command_line import Option, options_of, target
from savanna.cli.parser import Parser
from savanna.cli.values import literal
from savanna.errors import UsageError, explained
from savanna.planning.request import Kept

NOT_FROM_A_FILE = ("config", "resume", "resume_group", "set", "help")
CLOSE = 0.85
"""How alike a key and an option are for a slip of the pen: RLlib has settings of similar names."""


@dataclass
class Settings:
    """What a file says."""

    experiment: str | None = None
    options: dict[str, Any] = field(default_factory=dict)  # by their names, as in Python
    stop: dict[str, Any] = field(default_factory=dict)
    keep_default_stop: bool = True
    settings: dict[str, Any] = field(default_factory=dict)  # of --set


def read_settings(path: Path, names: Sequence[str]) -> Settings:
    """What the file says; `names` are those of the options that it may set.

    `UsageError`: it cannot be read, is no mapping of names to values, or a name looks misspelt.
    """
    import yaml

    try:
        content = yaml.safe_load(path.read_text())
    except OSError as error:
        raise UsageError(f"--config {explained(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"--config {path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise UsageError(f"--config {path}: write names and values, such as `lr: 0.001`.")
    if "rllib" in content and "overrides" in content:
        return _of_a_run(content)
    return _of_a_person(path, content, names)


def _of_a_run(content: Mapping[str, Any]) -> Settings:
    """Experiment, options and settings of a run that has been made."""
    kept = {f.name for f in fields(Kept)} - {"film_every"}
    options = {name: v for name, v in content.get("options", {}).items() if name in kept}
    for name in ("algorithm", "env", "seed"):
        options[name] = content[name]
    name = content["experiment"]
    if name.startswith("particle"):  # films are theirs alone, and the name has the algorithm
        options["film_every"] = content["options"].get("film_every")
        del options["algorithm"]
    return Settings(
        content.get("source") or name,
        {k: v for k, v in options.items() if v is not None},
        dict(content["stop"]),
        keep_default_stop=False,
        settings=dict(content["overrides"]),
    )


def _of_a_person(path: Path, content: Mapping[str, Any], names: Sequence[str]) -> Settings:
    found = Settings()
    problems: list[str] = []
    for key, value in content.items():
        name = key.replace("-", "_").lstrip("_")
        close = difflib.get_close_matches(name, names, n=1, cutoff=CLOSE)
        if name == "experiment":
            found.experiment = str(value)
        elif name == "stop":
            problems += _stop(path, value, found)
        elif name == "set":
            found.settings |= _flat(value) if isinstance(value, Mapping) else {}
        elif name in names:
            found.options[name] = value
        elif name in NOT_FROM_A_FILE:
            problems.append(f"--config {path}: {key} cannot be set in a file.")
        elif close:
            problems.append(f"--config {path}: unknown setting {key!r}. Did you mean {close[0]!r}?")
        else:
            found.settings |= _flat({key: value})
    if problems:
        raise UsageError("\n".join(problems))
    return found


def _stop(path: Path, value: Any, found: Settings) -> Iterator[str]:
    rules = {str(k).lower(): v for k, v in value.items()} if isinstance(value, Mapping) else {}
    if value in (None, "none"):
        rules = {"none": True}
    elif not rules:
        yield f"--config {path}: stop: write rules and numbers, such as `stop: {{return: 100}}`."
    found.keep_default_stop = not rules.pop("none", False)
    found.stop = {rule: _number(limit) for rule, limit in rules.items()}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"model_config": {"fcnet_hiddens": [64]}}` -> `{"model_config.fcnet_hiddens": [64]}`."""
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        nested = isinstance(value, Mapping)
        flat |= _flat(value, f"{prefix}{name}.") if nested else {f"{prefix}{name}": _number(value)}
    return flat


def _number(value: Any) -> Any:
    """YAML takes 1e-4 for text."""
    return literal(value) if isinstance(value, str) else value


def with_file(argv: list[str], parser: Parser) -> tuple[list[str], list[str]]:
    """The words after `train` with those of its `--config FILE`, which give way to the others; and
    a line that shows them."""
    given = options_of(argv)
    files = [o for o in given if o.flag == "--config" and not (o.value or "").startswith("{")]
    if not files:
        return argv, []
    if len(files) > 1 or not files[0].value:
        raise UsageError("--config: give one file, YAML or the config.json of a run.")
    actions = {a.dest: a for a in parser._actions if a.option_strings}
    names = [name for name in actions if name not in (*NOT_FROM_A_FILE, "stop")]
    settings = read_settings(Path(files[0].value).expanduser(), names)
    rest = [option for option in given if option is not files[0]]
    own = [*_words(settings, actions)]
    mine = {target(option.flag, option.value) for option in rest if option.flag}
    mine |= {"--seeds", "--seed"} if mine & {"--seeds", "--seed"} else set()
    without = "--stop none" in mine
    kept = [
        option
        for option in own
        if target(option.flag, option.value) not in mine
        and not (without and option.flag == "--stop")
    ]
    named = settings.experiment is not None and not any(not option.flag for option in rest)
    words = [*([str(settings.experiment)] if named else []), *_joined(kept)]
    line = f"{files[0].value} -> {' '.join(words)}"
    return [*words, *_joined(rest)], [line]


def _joined(options: Sequence[Option]) -> list[str]:
    return [word for option in options for word in option.words]


def _words(settings: Settings, actions: Mapping[str, argparse.Action]) -> Iterator[Option]:
    """The options that say the same as the file."""
    for name, value in settings.options.items():
        flag = actions[name].option_strings[0]
        if isinstance(actions[name], argparse.BooleanOptionalAction):
            on = flag if value else flag.replace("--", "--no-", 1)
            yield Option(on, None, (on,))
        else:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            yield Option(flag, text, (f"{flag}={text}",))
    if not settings.keep_default_stop:
        yield Option("--stop", "none", ("--stop", "none"))
    for key, value in settings.stop.items():
        yield Option("--stop", f"{key}={value}", ("--stop", f"{key}={value}"))
    for key, value in settings.settings.items():
        text = value if isinstance(value, str) else json.dumps(value)
        yield Option("--set", f"{key}={text}", ("--set", f"{key}={text}"))
