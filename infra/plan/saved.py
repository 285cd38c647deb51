"""The plan as JSON, and the difference between two plans."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.config.changes import changes, foundation_changes
from infra.plan.cost import Line, monthly
from infra.plan.engine import Resource, walk
from infra.plan.plan import Plan
from infra.plan.style import Style

VERSION = 1
# Changes with the clock, not with the declarations.
CLOCK = "savanna-expires"


class SavedPlanError(Exception):
    """A file that is not a saved plan."""


def as_json(plan: Plan, now: datetime) -> dict[str, Any]:
    """What `--json` prints: stable keys, US dollars, secrets replaced by "(secret)"."""
    settings = plan.cluster_settings
    low, high = plan.bill.hourly()
    return {
        "version": VERSION,
        "made": now.isoformat(timespec="seconds"),
        "name": settings.name,
        "stack": settings.stack,
        "location": settings.location,
        "expires": settings.expires,
        "settings": {name: run.outputs["settings"] for name, run in plan.runs.items()},
        "resources": [
            _resource(program, resource)
            for program, run in plan.runs.items()
            for resource in run.created()
        ],
        "cost": {
            "lines": [_line(line) for line in plan.bill.lines],
            "hourly": {"min": low, "max": high},
            "monthly": {"min": monthly(low), "max": monthly(high)},
            "cluster_hourly": dict(zip(("min", "max"), plan.bill.hourly("cluster"), strict=True)),
            "stopped_hourly": plan.bill.stopped_hourly(),
            "unpriced": plan.bill.unpriced,
        },
        "quota": [
            {"name": n.name, "min": n.minimum, "max": n.maximum, "label": n.label}
            for n in plan.quota
        ],
        "survives_down": [resource.name for resource in plan.survivors],
        "violations": [vars(violation) for violation in plan.violations],
        "warnings": list(plan.warnings),
    }


def _resource(program: str, resource: Resource) -> dict[str, Any]:
    options = resource.options
    return {
        "program": program,
        "type": resource.type,
        "name": resource.name,
        "parent": options.parent.rsplit("::", 1)[-1],
        "inputs": _shortened(resource.inputs),
        "options": {
            "protect": options.protect,
            "ignore_changes": list(options.ignore_changes),
            "replace_on_changes": list(options.replace_on_changes),
        },
    }


def _shortened(value: Any, key: str = "") -> Any:
    """Inputs with user data replaced by a fingerprint: the text is long, and only matters if it
    differs."""
    if isinstance(value, dict):
        return {name: _shortened(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_shortened(item) for item in value]
    if key == "customData" and isinstance(value, str):
        data = base64.b64decode(value)
        return f"{len(data)} bytes, sha256 {hashlib.sha256(data).hexdigest()}"
    return value


def _line(line: Line) -> dict[str, Any]:
    low, high = line.hourly
    return {
        "what": line.what,
        "program": line.program,
        "key": line.key,
        "count": {"min": line.least, "max": line.most},
        "hourly": {"min": low, "max": high} if line.price else None,
        "at_most": line.at_most,
        "price": line.price
        and {k: getattr(line.price, k) for k in ("usd", "unit", "region", "source", "as_of")},
    }


def load(path: Path) -> dict[str, Any]:
    """A plan saved with `--json`; `SavedPlanError` for anything else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SavedPlanError(f"--diff {path}: cannot be read: {error}") from error
    if not isinstance(content, dict) or content.get("version") != VERSION:
        raise SavedPlanError(
            f"--diff {path}: not a plan of this version; save one: make plan ARGS=--json > {path}"
        )
    return content


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Resources added, removed and changed (paths of inputs, old and new value), and the price."""
    before, after = _by_key(old), _by_key(new)
    changed = {
        key: values
        for key in before.keys() & after.keys()
        if (values := dict(_changes(before[key], after[key])))
    }
    settings = [*changes(*_settings("cluster", old, new))]
    settings += foundation_changes(*_settings("foundation", old, new))
    return {
        "settings": [one.line for one in settings],
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": dict(sorted(changed.items())),
        "hourly": {
            end: {"old": old["cost"]["hourly"][end], "new": new["cost"]["hourly"][end]}
            for end in ("min", "max")
        },
        "violations": [v for v in new["violations"] if v not in old["violations"]],
    }


def _settings(
    program: str, old: Mapping[str, Any], new: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    before, after = (one.get("settings", {}).get(program, {}) for one in (old, new))
    return before, after


def _by_key(plan: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{r['program']}: {r['name']} ({r['type'].removeprefix('azure-native:')})": r
        for r in plan["resources"]
    }


def _changes(
    old: Mapping[str, Any], new: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for part in ("inputs", "options"):
        before, after = dict(walk(old[part])), dict(walk(new[part]))
        for path in sorted(before.keys() | after.keys()):
            if before.get(path) != after.get(path) and CLOCK not in path:
                yield path, (before.get(path), after.get(path))


def difference_text(found: Mapping[str, Any], style: Style) -> str:
    """The difference as a page of text."""
    lines = [style(f"+ {key}", "green") for key in found["added"]]
    lines += [style(f"- {key}", "red") for key in found["removed"]]
    for key, paths in found["changed"].items():
        lines.append(style(f"~ {key}", "yellow"))
        lines += [f"    {path}: {_show(a)} -> {_show(b)}" for path, (a, b) in paths.items()]
    if not lines:
        lines.append("no resource differs")
    if found["settings"]:
        lines = ["on a cluster that lives:", *(f"  {one}" for one in found["settings"]), *lines]
    for end, price in found["hourly"].items():
        delta = price["new"] - price["old"]
        lines.append(
            f"{end} per hour: ${price['old']:,.3f} -> ${price['new']:,.3f} "
            f"({delta:+,.3f}; {monthly(delta):+,.0f} per month)"
        )
    lines += [
        style(f"policy {v['rule']}: {v['resource']}: {v['message']}", "red")
        for v in found["violations"]
    ]
    return "\n".join(lines)


def _show(value: Any) -> str:
    return "(none)" if value is None else str(value)
