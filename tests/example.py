"""Both Pulumi programs with example settings, run under the mock engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import azure_settings

from infra.facts import ROOT
from infra.plan.engine import Run, run

REFERENCE = "organization/savanna-foundation/test"
CLUSTER_PROGRAM = ROOT / "infra" / "cluster"
FOUNDATION_PROGRAM = ROOT / "infra" / "foundation"

FOUNDATION = {
    **azure_settings.FOUNDATION,
    "budgetStart": "2026-11-01",
    "repository": "example/savanna",
}
CLUSTER = {
    **azure_settings.CLUSTER,
    "pools": """
- {name: cpu, size: Standard_D16as_v6, spot: true, min: 1, max: 4}
- {name: steady, size: Standard_D8as_v6, min: 0, max: 2}
""",
}
# Every way of using the cluster program that changes what it declares.
VARIANTS: Mapping[str, Mapping[str, object]] = {
    "own network": {},
    "without Bastion": {"bastion": False, "adminRanges": ["10.200.0.0/24"]},
    "existing subnet": azure_settings.EXISTING,
    "existing group": {"resourceGroup": "theirs"},
    "head without GPU": {"headSize": "Standard_D8as_v6"},
    "no workers": {"pools": "[]"},
    "gpu workers": {"pools": "[{name: gpu, size: Standard_NC4as_T4_v3, spot: true, max: 2}]"},
}


def as_config(values: Mapping[str, object]) -> dict[str, str]:
    """As Pulumi passes it to a program: everything is text."""
    return {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}


@cache
def _run(program: Path, preview: bool, config: str, references: str) -> Run:
    project = "savanna" if program == CLUSTER_PROGRAM else "savanna-foundation"
    settings, known = json.loads(config), json.loads(references)
    return run(program, project, "test", settings, preview=preview, references=known)


def foundation(*, preview: bool = False, **changes: object) -> Run:
    """A run of `infra/foundation`, with the example's settings and some changed."""
    config = json.dumps(as_config({**FOUNDATION, **changes}))
    return _run(FOUNDATION_PROGRAM, preview, config, "{}")


def foundation_outputs() -> dict[str, Any]:
    """What the cluster finds, from the real foundation program."""
    return foundation().outputs


def cluster(
    *,
    preview: bool = False,
    outputs: Mapping[str, Any] | None = None,
    fresh: bool = False,
    **changes: object,
) -> Run:
    """A run of `infra/cluster`, with the example's settings and some changed.

    Args:
        outputs: those of the foundation; by default, the other program's.
        fresh: run it even if it has run with these settings before.
    """
    known = {REFERENCE: foundation_outputs() if outputs is None else outputs}
    config = json.dumps(as_config({**CLUSTER, **changes}))
    one = _run.__wrapped__ if fresh else _run
    return one(CLUSTER_PROGRAM, preview, config, json.dumps(known))
