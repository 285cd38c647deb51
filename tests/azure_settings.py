"""Complete settings for tests; each test adds what it is about."""

import base64
import struct
from datetime import UTC, datetime

from infra.config.problems import SettingsError
from infra.config.read import read_cluster, read_foundation
from infra.config.settings import ClusterSettings, FoundationSettings

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
DIGEST = "@sha256:" + "0123456789abcdef" * 4
SSH_KEY = (
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f team@example"
)
SUBNET = "/subnets/".join(
    (
        "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/hub/providers/"
        "Microsoft.Network/virtualNetworks/hub",
        "rl",
    )
)
CLUSTER = {
    "owner": "rl-team@example.com",
    "sshPublicKey": SSH_KEY,
    "cpuImage": f"savanna-cpu{DIGEST}",
    "gpuImage": f"savanna-gpu{DIGEST}",
}
FOUNDATION = {"owner": "rl-team@example.com", "budgetEmails": ["rl-team@example.com"]}
EXISTING = {
    "existingSubnetId": SUBNET,
    "existingSubnetRange": "10.8.4.0/24",
    "headAddress": "10.8.4.10",
    "bastion": False,
    "adminRanges": ["10.8.0.0/24"],
}


def cluster(stack: str = "test", **given: object) -> ClusterSettings:
    """The cluster's settings with these values."""
    return read_cluster({**CLUSTER, **given}, stack, "organization", NOW)


def foundation(stack: str = "test", **given: object) -> FoundationSettings:
    """The foundation's settings with these values."""
    return read_foundation({**FOUNDATION, **given}, stack, NOW)


def problems(read=cluster, stack: str = "test", **given: object) -> tuple[str, ...]:
    """What is wrong with these values; () if nothing is."""
    try:
        read(stack, **given)
    except SettingsError as error:
        return error.problems
    return ()


def rsa_key(bits: int) -> str:
    """An SSH key as `sshPublicKey` takes it."""
    number = (1 << (bits - 1)) | 1
    fields = [b"ssh-rsa", b"\x01\x00\x01", b"\0" + number.to_bytes(bits // 8)]
    blob = b"".join(struct.pack(">I", len(field)) + field for field in fields)
    return f"ssh-rsa {base64.b64encode(blob).decode()} someone"
