"""Nodes that these tests boot or render."""

from dataclasses import replace

from infra.boot.node import NodeBoot

HEAD = NodeBoot(
    role="head",
    node_type="head",
    image=f"acme.azurecr.io/savanna-gpu@sha256:{'a' * 64}",
    registry="acme.azurecr.io",
    identity_client_id="11111111-2222-3333-4444-555555555555",
    token_secret="https://acme.vault.azure.net/secrets/ray-token-dev",
    head_address="10.0.0.4",
    storage="abfss://results@acme.dfs.core.windows.net/dev",
    gpus=1,
    spot=False,
    shm_gib=20,
)
WORKER = replace(
    HEAD,
    role="worker",
    node_type="cpu-spot",
    image=f"acme.azurecr.io/savanna-cpu@sha256:{'b' * 64}",
    gpus=0,
    spot=True,
)
