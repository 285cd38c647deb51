"""What a node must know to boot: facts only, no secret among them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeBoot:
    """The argument of `infra.boot.render.cloud_init`: all of it ends up in the user data."""

    role: str  # "head" or "worker"
    node_type: str  # "head" or the pool's name; Ray's node type
    image: str  # "myregistry.azurecr.io/savanna-cpu@sha256:..."
    registry: str  # login server of the image; pulled with the managed identity
    identity_client_id: str  # of the node's user-assigned managed identity
    token_secret: str  # "https://NAME.vault.azure.net/secrets/ray-token-dev"
    head_address: str  # private IP address
    storage: str  # "abfss://results@ACCOUNT.dfs.core.windows.net/STACK"
    gpus: int
    spot: bool
    shm_gib: int
    join_minutes: int
    idle_minutes: int  # head only; 0: never
    max_hours: float  # head only; 0: never
    metadata_endpoint: str = "http://169.254.169.254"  # another one in tests
    arm_endpoint: str = "https://management.azure.com"  # another one in tests
