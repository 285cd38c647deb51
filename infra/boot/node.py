"""What a node must know to boot: only facts, no secrets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_address

_STORAGE = re.compile(r"abfss://([a-z0-9-]+)@([a-z0-9]+)\.dfs\.([a-z0-9.-]+)((?:/[\w.-]+)*)/?")
_PLAIN = re.compile(r"[A-Za-z0-9._:/@+-]+")


@dataclass(frozen=True)
class NodeBoot:
    """The argument of `infra.boot.render.cloud_init`; all of it ends up in the user data."""

    role: str  # "head" or "worker"
    node_type: str  # "head" or the pool's name; Ray's node type
    image: str  # "myregistry.azurecr.io/savanna-cpu@sha256:..."
    registry: str  # login server of the image; pulled with the managed identity
    identity_client_id: str  # of the node's user-assigned managed identity
    token_secret: str  # "https://NAME.vault.azure.net/secrets/NAME"
    head_address: str  # private IP address
    storage: str  # "abfss://results@ACCOUNT.dfs.core.windows.net/STACK"
    gpus: int
    spot: bool
    shm_gib: int
    metadata_endpoint: str = "http://169.254.169.254"  # different in tests, like all below
    arm_endpoint: str = "https://management.azure.com"
    registry_endpoint: str = ""  # empty: https://REGISTRY
    blob_endpoint: str = ""  # empty: derived from `storage`; nodes put their logs below it

    def settings(self) -> dict[str, str]:
        """The settings that the scripts on the node read; `ValueError` names all mistakes."""
        place = _STORAGE.fullmatch(self.storage)
        blob = self.blob_endpoint
        if place and not blob:
            container, account, domain, path = place.groups()
            blob = f"https://{account}.blob.{domain}/{container}{path}"
        problems = [
            f"{name} {value!r}: must be {wanted}"
            for name, value, wanted, fine in (
                ("role", self.role, "head or worker", self.role in ("head", "worker")),
                ("image", self.image, f"in {self.registry}", self._in_registry()),
                ("head_address", self.head_address, "an IP address", _address(self.head_address)),
                ("storage", self.storage, "abfss://CONTAINER@ACCOUNT.dfs.DOMAIN/STACK", place),
                ("gpus", self.gpus, "0 or more", self.gpus >= 0),
                ("shm_gib", self.shm_gib, "1 or more", self.shm_gib >= 1),
            )
            if not fine
        ]
        settings = {
            "ROLE": self.role,
            "NODE_TYPE": self.node_type,
            "IMAGE": self.image,
            "REGISTRY": self.registry,
            "REGISTRY_ENDPOINT": self.registry_endpoint or f"https://{self.registry}",
            "IDENTITY_CLIENT_ID": self.identity_client_id,
            "TOKEN_SECRET": self.token_secret,
            "HEAD_ADDRESS": self.head_address,
            "STORAGE": self.storage,
            "BLOB_ENDPOINT": blob or "unknown",
            "METADATA_ENDPOINT": self.metadata_endpoint,
            "ARM_ENDPOINT": self.arm_endpoint,
            "GPUS": str(self.gpus),
            "MARKET_TYPE": "spot" if self.spot else "on-demand",
            "SHM_GIB": str(self.shm_gib),
        }
        problems += [
            f"{name.lower()} {value!r}: use only letters, digits and ._:/@+-, and at least one"
            for name, value in settings.items()
            if not _PLAIN.fullmatch(value)
        ]
        if problems:
            raise ValueError("\n".join(problems))
        return settings

    def _in_registry(self) -> bool:
        return self.image.startswith(f"{self.registry}/")


def _address(text: str) -> bool:
    try:
        return bool(ip_address(text))
    except ValueError:
        return False
