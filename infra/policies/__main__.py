"""`pulumi up --policy-pack infra/policies` runs this; `PolicyPack` starts a server and blocks."""

from __future__ import annotations

from pulumi_policy import PolicyPack

from infra.policies.pack import policies

PolicyPack(name="savanna", policies=policies())
