"""Continuing the runs of one command that did not succeed: several seeds, or a search."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from savanna.errors import UsageError
from savanna.experiments import get_experiment
from savanna.planning.plan import json_safe
from savanna.planning.request import TrainRequest
from savanna.planning.search_space import drawn_by, with_seeds
from savanna.runs.directory import RunDirectory
from savanna.runs.group import SEED, Group
from savanna.runs.owner import Owner, owned
from savanna.runs.resumption import go_back
from savanna.runs.stored_group import find_group_anywhere
from savanna.runs.summary import Summary, state_of

DONE = "succeeded"


class ResumedGroup:
    """The runs of the group that a request names.

    The same command draws the same values, so each trial finds the run that drew them, and goes on
    with it. Those that succeeded are left alone. This process owns the others until `stack` ends,
    and they are where their newest whole checkpoint was written. A command that asks for more seeds
    or samples adds them to the group; one that asks for fewer leaves the rest alone.

    Raises `UsageError`, before it changes any run, if another command made the group.
    """

    def __init__(self, request: TrainRequest, stack: ExitStack) -> None:
        group, asked = _checked(request, request.runs_root, request.storage)
        self.name = group.name
        self.runs = [member.run for member in group.members]
        self.owners: dict[RunDirectory, Owner] = {}
        self._left = [m for m in group.members if _key(m.drawn) in asked]
        for member in self._left:
            if member.state != DONE:
                owner = stack.enter_context(owned(member.run.path))
                assert owner is not None
                self.owners[member.run] = owner
        # The last owner of a run may have gone on until now.
        self.done = [m.run for m in self._left if state_of(m.run) == DONE]
        self.is_complete = not asked - _keys(m for m in self._left if m.run in self.done)
        for run in self.owners:
            if run not in self.done:
                run.stop_request.unlink(missing_ok=True)
                go_back(run)

    def take(self, drawn: Mapping[str, Any]) -> RunDirectory | None:
        """The run that drew this; each is given once."""
        for member in self._left:
            if _key(member.drawn) == _key(drawn):
                self._left.remove(member)
                return member.run
        return None


def what_is_left(request: TrainRequest, scratch: Path) -> str:
    """Which runs of the group the request would go on with. Changes nothing: what is only in the
    storage is brought to `scratch`. Raises `UsageError` as `ResumedGroup` does."""
    try:
        group, asked = _checked(request, request.runs_root, None)
    except UsageError:
        if request.storage is None:
            raise
        group, asked = _checked(request, scratch, request.storage)
    wanted = [member for member in group.members if _key(member.drawn) in asked]
    left = [member.run.id for member in wanted if member.state != DONE]
    new = (asked - _keys(wanted)).total()
    parts = [
        f"{len(wanted) - len(left)} of {len(wanted)} runs have succeeded",
        *([f"goes on with {', '.join(left)}"] if left else []),
        *([f"adds {new} more"] if new else []),
    ]
    return f"--resume-group {group.name}: {'; '.join(parts)}."


def _checked(request: TrainRequest, root: Path, location: str | None) -> tuple[Group, Counter[str]]:
    group = find_group_anywhere(request.resume_group or "", root, location, "--resume-group")
    asked = Counter(map(_key, _drawn(request)))
    _check_same(request, group, asked)
    return group, asked


def _check_same(request: TrainRequest, group: Group, asked: Collection[str]) -> None:
    """`UsageError` with one line per difference between the command and the one of the group."""
    experiment = get_experiment(request.experiment, request.algorithm)
    settings = {_key(_without_seed(json.loads(drawn))) for drawn in asked}
    problems: dict[str, None] = {}
    for member in group.members:
        saved, mine = member.run.config, _without_seed(member.drawn)
        before = {k: v for k, v in saved.get("overrides", {}).items() if k not in mine}
        now = json_safe(request.overrides)
        differ = [
            *_different("experiment", saved["experiment"], experiment.name),
            *_different(
                "--algorithm", saved.get("algorithm", experiment.algorithm), experiment.algorithm
            ),
            *_different("--env", saved["env"], request.env or experiment.env),
            *(
                line
                for key in sorted(before.keys() | now.keys())
                for line in _different(f"--set {key}", before.get(key), now.get(key))
            ),
        ]
        if not (problems or differ) and _key(mine) not in settings:
            values = ", ".join(f"{key}={value}" for key, value in mine.items()) or "no search"
            differ = [f"this command does not draw the values of {member.run.id} ({values})"]
        problems |= dict.fromkeys(differ)
    if not problems and not any(_key(member.drawn) in asked for member in group.members):
        seeds = sorted({str(member.drawn.get(SEED)) for member in group.members})
        problems[f"this command has none of its seeds ({', '.join(seeds)})"] = None
    if problems:
        raise UsageError(
            "\n".join(
                f"--resume-group {group.name}: {line}. Give the options of the command that made "
                "the group."
                for line in problems
            )
        )


def _different(what: str, before: Any, now: Any) -> Iterator[str]:
    if before != now:
        had, has = ("none" if value is None else value for value in (before, now))
        yield f"its runs have {what} {had}, this command {has}"


def _drawn(request: TrainRequest) -> list[dict[str, Any]]:
    """What the trials of the command draw."""
    seeds = request.seeds_from(get_experiment(request.experiment, request.algorithm).default_seed)
    samples = request.num_samples if request.search else 1
    return drawn_by(seeds[0], with_seeds(request.search, seeds), samples)


def _without_seed(drawn: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in drawn.items() if key != SEED}


def _keys(members: Iterable[Summary]) -> Counter[str]:
    return Counter(_key(member.drawn) for member in members)


def _key(drawn: Mapping[str, Any]) -> str:
    return json.dumps(json_safe(drawn), sort_keys=True)
