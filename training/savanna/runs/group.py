"""The runs that one command made: several seeds, a search over settings, or both."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from savanna.errors import UsageError
from savanna.interval import half_width
from savanna.runs.directory import LATEST, RunDirectory
from savanna.runs.summary import Summary, all_runs, summary

SEED = "seed"


@dataclass(frozen=True)
class Setting:
    """Runs with the same settings; only their seeds differ."""

    drawn: Mapping[str, Any]  # without the seed
    members: tuple[Summary, ...]

    @cached_property
    def counted(self) -> tuple[Summary, ...]:
        """The runs that count for the mean: those with a final return that did not fail."""
        ended = (m for m in self.members if m.state != "failed")
        return tuple(m for m in ended if math.isfinite(m.final_return))

    @property
    def returns(self) -> list[float]:
        """Final returns of the runs that count."""
        return [member.final_return for member in self.counted]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.returns) if self.returns else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the mean over seeds; nan with fewer than two."""
        half = half_width(self.returns)
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Group:
    """Settings from the highest mean return to the lowest, each with its runs by seed."""

    name: str
    settings: tuple[Setting, ...]

    @property
    def members(self) -> list[Summary]:
        return [member for setting in self.settings for member in setting.members]

    @property
    def folder(self) -> Path:
        return self.members[0].run.path.parent

    @property
    def page(self) -> Path:
        return self.folder / f"group-{self.name}.html"

    @property
    def best(self) -> Summary:
        """The run with the highest final return."""
        known = [m for setting in self.settings for m in setting.counted]
        return max(known or self.members, key=lambda m: m.final_return)

    @property
    def searched(self) -> bool:
        """Whether settings were drawn, and not only seeds."""
        return any(setting.drawn for setting in self.settings)

    @property
    def seeded(self) -> bool:
        return any(SEED in member.drawn for member in self.members)

    @property
    def keys(self) -> list[str]:
        """The settings that were drawn."""
        return list(dict.fromkeys(key for member in self.members for key in member.drawn))


def group_of(runs: Iterable[RunDirectory]) -> Group | None:
    """The group that one command's `runs` form; `None` if there is only one run."""
    members = [summary(run) for run in runs]
    named = [m for m in members if m.group is not None]
    return _group(named[0].group or "", named) if named else None


def find_group(root: Path, reference: str, option: str = "--group") -> Group:
    """The group in `root` that `reference` names; an error names `option`. See `choose`."""
    members = grouped(root)
    name = choose(reference, [m.group or "" for m in members], f"{root}/", option)
    return _group(name, [m for m in members if m.group == name])


def grouped(root: Path) -> list[Summary]:
    """The runs in `root` that belong to a group, newest first."""
    return [m for run in all_runs(root) if (m := summary(run)).group is not None]


def choose(reference: str, groups: Iterable[str], where: str, option: str) -> str:
    """The one of `groups`, the newest first, with this name or prefix; `latest` is the newest."""
    names = list(dict.fromkeys(groups))
    found = names[:1] if reference == LATEST else [n for n in names if n.startswith(reference)]
    exact = [n for n in found if n == reference] or found
    if len(exact) == 1:
        return exact[0]
    listed = ", ".join(exact or names[:5]) or "none (--seeds or a search makes one)"
    what = "several groups start with this" if exact else "no such group"
    raise UsageError(f"{option} {reference}: {what} in {where}. Available: {listed}.")


def _group(name: str, members: Iterable[Summary]) -> Group:
    settings: dict[str, list[Summary]] = {}
    for member in members:
        drawn = {key: value for key, value in member.drawn.items() if key != SEED}
        settings.setdefault(json.dumps(drawn), []).append(member)
    found = [
        Setting(json.loads(key), tuple(sorted(those, key=lambda m: m.drawn.get(SEED, 0))))
        for key, those in settings.items()
    ]
    found.sort(key=lambda s: s.mean if math.isfinite(s.mean) else -math.inf, reverse=True)
    return Group(name, tuple(found))
