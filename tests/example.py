"""Example configurations of both programs, and how to run them for tests."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from infra.facts import ROOT
from infra.plan.engine import Run, run
from infra.plan.fake_azure import FakeAzure

SSH_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl admin@example"
)
DIGEST = "@sha256:" + "ab" * 32
ORGANISATION = "organization"
REFERENCE = f"{ORGANISATION}/savanna-foundation/test"

FOUNDATION: Mapping[str, str] = {
    "owner": "rl-team",
    "budgetEmails": '["rl@example.com"]',
    "budgetStart": "2026-11-01",
    "repository": "example/savanna",
}
CLUSTER: Mapping[str, str] = {
    "owner": "rl-team",
    "sshPublicKey": SSH_KEY,
    "cpuImage": f"savanna-cpu{DIGEST}",
    "gpuImage": f"savanna-gpu{DIGEST}",
    "pools": "[{name: cpu, size: Standard_D16as_v6, spot: true, min: 1, max: 4},"
    " {name: steady, size: Standard_D8as_v6, min: 0, max: 2}]",
}
EXISTING_SUBNET: Mapping[str, str] = {
    "existingSubnetId": "/subscriptions/s/resourceGroups/hub/providers/Microsoft.Network"
    "/virtualNetworks/hub/subnets/ray",
    "existingSubnetRange": "10.9.0.0/24",
    "headAddress": "10.9.0.10",
    "bastion": "false",
    "adminRanges": '["10.200.0.0/24"]',
}


def foundation(*, preview: bool = False, **changes: str) -> Run:
    """A run of `infra/foundation` with the example's settings and some changed."""
    return run(
        ROOT / "infra" / "foundation",
        "savanna-foundation",
        "test",
        {**FOUNDATION, **changes},
        preview=preview,
        azure=FakeAzure(),
    )


@cache
def foundation_outputs() -> dict[str, Any]:
    """What the cluster finds, taken from the other program itself."""
    return foundation().outputs


def cluster(
    *,
    preview: bool = False,
    outputs: Mapping[str, Any] | None = None,
    base: Mapping[str, str] = CLUSTER,
    **changes: str,
) -> Run:
    """A run of `infra/cluster` with the example's settings and some changed."""
    return run(
        ROOT / "infra" / "cluster",
        "savanna",
        "test",
        {**base, **changes},
        preview=preview,
        references={REFERENCE: foundation_outputs() if outputs is None else outputs},
        azure=FakeAzure(),
    )
