"""The plan: what both programs would do with a stack's settings, and the consequences."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from infra.config import project
from infra.config.problems import SettingsError
from infra.config.read import read_cluster, read_foundation, warnings
from infra.config.settings import ClusterSettings, FoundationSettings
from infra.facts import ROOT
from infra.plan import engine
from infra.plan.cost import Bill, bill
from infra.plan.engine import Resource, Run
from infra.plan.prices import PriceTable
from infra.plan.quota import Need, needs
from infra.policies.rules import Violation, violations

ORGANIZATION = "organization"
"""Pulumi's name for the only organisation if state is in files or a storage account."""
CLUSTER, FOUNDATION = ROOT / "infra" / "cluster", ROOT / "infra" / "foundation"
# Placeholders for settings without a default, to look at a plan before deciding anything.
EXAMPLE_CLUSTER = {
    "owner": "team@example.org",
    "sshPublicKey": "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    "AAAA example",
    "dev": True,
}
EXAMPLE_FOUNDATION = {"owner": "team@example.org", "budgetEmails": ["team@example.org"]}


@dataclass(frozen=True)
class Given:
    """The values of both projects' settings for one stack, as written."""

    stack: str
    cluster: Mapping[str, object]
    foundation: Mapping[str, object]
    azure: Mapping[str, str] = field(default_factory=dict)  # the provider's, "azure-native:KEY"

    @property
    def foundation_stack(self) -> str:
        """The foundation's stack without its organisation, as in the name of its settings file."""
        return self.foundation_reference.rsplit("/", 1)[-1]

    @property
    def foundation_reference(self) -> str:
        """The foundation's stack as Pulumi's commands need it: from the cluster's settings, or the
        cluster's own name."""
        return str(self.cluster.get("foundation") or self.stack)


@dataclass(frozen=True)
class Plan:
    """Everything that `make plan` shows."""

    cluster_settings: ClusterSettings
    foundation_settings: FoundationSettings
    cluster: Run  # as if everything were created: outputs are known
    foundation: Run
    first_cluster: Run  # as in the first preview: outputs are unknown
    first_foundation: Run
    bill: Bill
    quota: tuple[Need, ...]
    violations: tuple[Violation, ...]
    warnings: tuple[str, ...]

    @property
    def survivors(self) -> list[Resource]:
        """What `down` leaves: the foundation, and what a cluster's deletion keeps."""
        kept = [r for r in self.cluster.created() if r.options.retain_on_delete]
        return [r for r in self.foundation.created() if r.options.protect] + kept

    @property
    def runs(self) -> dict[str, Run]:
        """Program -> its run with known outputs."""
        return {"cluster": self.cluster, "foundation": self.foundation}


def read_given(stack: str, *, example: bool = False, root: Path = ROOT) -> Given:
    """The values in both projects' `Pulumi.STACK.yaml`.

    Raises `SettingsError` if a file is missing, unless `example` allows placeholders.
    """
    missing: list[str] = []

    def read(path: Path, stand_ins: Mapping[str, object]) -> dict[str, object]:
        values = dict(stand_ins) if example else {}
        declared = project.load(path.with_name("Pulumi.yaml"))
        if path.exists():
            return values | project.stack_values(declared, path)
        if not example:
            needed = ", ".join(key.name for key in declared.keys.values() if key.default is None)
            missing.append(
                f"{path.relative_to(root)}: no such file; create it from "
                f"Pulumi.dev.yaml.example beside it. It must set {needed}"
            )
        return values

    cluster = read(root / f"Pulumi.{stack}.yaml", EXAMPLE_CLUSTER)
    home = Given(stack, cluster, {}).foundation_stack
    foundation = read(root / "infra" / "foundation" / f"Pulumi.{home}.yaml", EXAMPLE_FOUNDATION)
    if missing:
        raise SettingsError(missing, "to try it without such a file: make plan ARGS=--example")
    provider = project.provider_values(root / f"Pulumi.{stack}.yaml")
    return Given(stack, cluster, foundation, provider)


def settings_of(given: Given, now: datetime) -> tuple[ClusterSettings, FoundationSettings]:
    """Both programs' settings, or one `SettingsError` with the mistakes in both."""
    problems: list[str] = []
    cluster = foundation = None
    try:
        cluster = read_cluster(given.cluster, given.stack, ORGANIZATION, now)
    except SettingsError as error:
        problems += [f"Pulumi.{given.stack}.yaml: {line}" for line in error.problems]
    try:
        foundation = read_foundation(given.foundation, given.foundation_stack, now)
    except SettingsError as error:
        where = f"infra/foundation/Pulumi.{given.foundation_stack}.yaml"
        problems += [f"{where}: {line}" for line in error.problems]
    if problems or not cluster or not foundation:
        raise SettingsError(problems)
    return cluster, foundation


def make(given: Given, now: datetime, prices: PriceTable, storage_gb: float = 100) -> Plan:
    """Run both programs twice each and derive the rest. Raises what the programs raise."""
    cluster_settings, foundation_settings = settings_of(given, now)
    home = (FOUNDATION, project.FOUNDATION, given.foundation_stack, given.foundation)
    foundation, first_foundation = _run(*home), _run(*home, preview=True)
    outputs = {cluster_settings.foundation: foundation.outputs}
    # The expiry depends on the current time: both runs and the settings must have the same one.
    values = {**given.cluster, "expires": cluster_settings.expires}
    cluster = _run(CLUSTER, project.CLUSTER, given.stack, values, outputs)
    first = _run(CLUSTER, project.CLUSTER, given.stack, values, outputs, preview=True)
    found = [
        violation
        for run in (cluster, foundation)
        for resource in run.created()
        for violation in violations(resource.type, resource.inputs, resource.options, resource.name)
    ]
    by_tag = [v for v in found if v.rule == "images-by-digest" and cluster_settings.dev]
    found = [violation for violation in found if violation not in by_tag]
    notes = [f"{v.resource}: {v.message}; make up will do that" for v in by_tag]
    for known, unknown in ((cluster, first), (foundation, first_foundation)):
        found += _differs(known, unknown)
    return Plan(
        cluster_settings,
        foundation_settings,
        cluster,
        foundation,
        first,
        first_foundation,
        bill(cluster, foundation, cluster_settings, prices, storage_gb),
        tuple(needs(cluster_settings)),
        tuple(found),
        (*warnings(cluster_settings, now), *notes),
    )


def _run(
    program: Path,
    declared: Path,
    stack: str,
    values: Mapping[str, object],
    references: Mapping[str, Mapping[str, Any]] | None = None,
    *,
    preview: bool = False,
) -> Run:
    name = project.load(declared).name
    config = {key: _text(value) for key, value in values.items()}
    return engine.run(program, name, stack, config, preview=preview, references=references)


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _differs(known: Run, unknown: Run) -> list[Violation]:
    """Find programs whose decisions depend on values that a first preview does not have."""
    made, shown = ({r.urn: r.name for r in run.resources} for run in (known, unknown))
    return [
        Violation("preview-is-complete", name, "a first preview does not show what `up` creates")
        for urn, name in {**made, **shown}.items()
        if (urn in made) != (urn in shown)
    ]
