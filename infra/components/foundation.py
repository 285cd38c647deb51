"""What the cluster's program knows about the foundation: its outputs, by stack reference."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi


@dataclass(frozen=True)
class Foundation:
    """The outputs of `infra/foundation` that the cluster uses, under the same names."""

    registry_id: pulumi.Output[str]
    registry_login_server: pulumi.Output[str]
    resource_group: pulumi.Output[str]
    results_container_id: pulumi.Output[str]
    storage_uri: pulumi.Output[str]
    vault_id: pulumi.Output[str]
    vault_uri: pulumi.Output[str]


def foundation(stack: str) -> Foundation:
    """Read them from `stack` ("ORGANISATION/savanna-foundation/STACK"); all must exist."""
    reference = pulumi.StackReference("foundation", stack_name=stack)
    return Foundation(
        **{name: reference.require_output(name) for name in Foundation.__dataclass_fields__}
    )
