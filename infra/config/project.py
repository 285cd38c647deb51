"""The settings that exist, from `Pulumi.yaml`, and the values given to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from infra.config.problems import Problems, did_you_mean
from infra.facts import ROOT

CLUSTER = ROOT / "Pulumi.yaml"
FOUNDATION = ROOT / "infra" / "foundation" / "Pulumi.yaml"


@dataclass(frozen=True)
class Key:
    """One setting as declared under `config`."""

    name: str
    type: str  # "string", "integer", "boolean" or "array" (of strings)
    description: str
    default: Any  # None: must be set


@dataclass(frozen=True)
class Project:
    """A `Pulumi.yaml`."""

    name: str
    keys: dict[str, Key]


@cache
def load(path: Path) -> Project:
    """The declarations of a project file."""
    content = yaml.safe_load(path.read_text())
    keys = {
        name: Key(name, key["type"], key["description"], key.get("default"))
        for name, key in content["config"].items()
    }
    return Project(content["name"], keys)


def stack_values(project: Project, path: Path) -> dict[str, object]:
    """This project's values in a `Pulumi.<stack>.yaml`, without the project's name as prefix."""
    content = yaml.safe_load(path.read_text()) or {}
    return own_values(project.name, content.get("config") or {})


def provider_values(path: Path) -> dict[str, str]:
    """The Azure provider's values in a `Pulumi.<stack>.yaml`; none without the file."""
    content = (yaml.safe_load(path.read_text()) or {}) if path.exists() else {}
    config = content.get("config") or {}
    return {key: str(value) for key, value in config.items() if key.startswith("azure-native:")}


def own_values(project: str, config: Mapping[str, object]) -> dict[str, object]:
    """Turn `project:key` into `key`; other projects' and providers' keys are left out."""
    prefix = f"{project}:"
    return {
        key.removeprefix(prefix): value
        for key, value in config.items()
        if key.startswith(prefix) or ":" not in key
    }


class Values:
    """Given values and defaults, by type. A wrong one is a problem and reads as its default."""

    def __init__(self, project: Project, given: Mapping[str, object], problems: Problems) -> None:
        self.keys, self.given, self.problems = project.keys, given, problems
        self.used: set[str] = set()
        for name in given:
            if name not in self.keys:
                meant = did_you_mean(name, self.keys)
                fix = f"no such setting{meant}" if meant else f"no such setting; remove {name}"
                problems.add(name, given[name], fix)

    def _raw(self, name: str) -> object:
        self.used.add(name)
        key = self.keys[name]
        value = self.given.get(name, key.default)
        if value is None or (value == "" and key.default is None):
            self.problems.add(name, "", f"must be set ({key.description})")
            return None
        return value

    def text(self, name: str) -> str:
        """A string, without surrounding space."""
        value = self._raw(name)
        if value is None:
            return ""
        if isinstance(value, str | int | float | date) and not isinstance(value, bool):
            return str(value).strip()
        self.problems.add(name, value, "must be text")
        return ""

    def whole(self, name: str, least: int, most: int) -> int:
        """A whole number between `least` and `most`."""
        return whole(name, self._raw(name), least, most, self.problems)

    def flag(self, name: str) -> bool:
        """true or false."""
        return flag(name, self._raw(name), self.problems)

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings, given as such or as JSON; not empty if the key must be set."""
        value = self._raw(name)
        if isinstance(value, str):
            try:
                value = json.loads(value)
            except json.JSONDecodeError:
                value = {}
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            self.problems.add(
                name, self.given[name], 'must be a list of strings like ["10.1.0.0/24"]'
            )
            return ()
        if not value and self.keys[name].default is None:
            self.problems.add(name, value, "name at least one")
        return tuple(one.strip() for one in value)

    def entries(self, name: str) -> list[dict[str, object]]:
        """A list of mappings, given as such or as YAML (which includes JSON)."""
        value = self._raw(name)
        if isinstance(value, str):
            try:
                value = yaml.safe_load(value) or []
            except yaml.YAMLError as error:
                where = getattr(error, "problem_mark", None)
                line = f" in line {where.line + 1}" if where else ""
                self.problems.add(name, value, f"is not valid YAML{line}")
                return []
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            fix = "must be a list of entries like {name: cpu, size: Standard_D16as_v6, max: 4}"
            self.problems.add(name, value, fix)
            return []
        return value

    def mapping(self, name: str) -> dict[str, str]:
        """Text by name, given as such or as YAML (which includes JSON)."""
        value = self._raw(name)
        if isinstance(value, str):
            try:
                value = yaml.safe_load(value) or {}
            except yaml.YAMLError:
                value = None
        if not isinstance(value, dict) or any(isinstance(v, dict | list) for v in value.values()):
            self.problems.add(name, self.given.get(name), "must be YAML like {team: rl, site: a1}")
            return {}
        return {str(key): "" if one is None else str(one) for key, one in value.items()}


def whole(name: str, value: object, least: int, most: int, problems: Problems) -> int:
    """`value` as a whole number between `least` and `most`; `least` and a problem otherwise."""
    text = str(value)
    if isinstance(value, bool) or not text.removeprefix("-").isdecimal():
        if value is not None:
            problems.add(name, value, f"must be a whole number from {least} to {most}")
        return least
    if not least <= int(text) <= most:
        problems.add(name, int(text), f"must be from {least} to {most}")
        return least
    return int(text)


def flag(name: str, value: object, problems: Problems) -> bool:
    """`value` as true or false; False and a problem otherwise."""
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return value == "true"
    problems.add(name, value, "must be true or false")
    return False
