"""What head and worker machines have in common. Pure functions, except for outputs."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import compute

from infra.boot.node import NodeBoot
from infra.boot.render import cloud_init
from infra.components.foundation import Foundation
from infra.components.identities import Identities, NodeIdentity
from infra.components.names import BOOT_TAG, LIMITS_TAG, POOL_TAG, limits_text
from infra.components.network import Network
from infra.components.place import Place
from infra.components.ray_token import RayToken
from infra.config.os_images import os_image
from infra.config.ports import Role
from infra.config.settings import ClusterSettings, Head, Pool
from infra.config.sizes import VmSize

ADMIN = "savanna"
DISK_TYPE = compute.StorageAccountTypes.STANDARD_SS_D_LRS


@dataclass(frozen=True)
class Site:
    """Place, identity and boot data of the machines of one role."""

    role: Role
    place: Place
    network: Network
    identities: Identities
    foundation: Foundation
    token: RayToken

    @property
    def subnet(self) -> pulumi.Output[str]:
        return self.network.subnets[self.role]

    @property
    def security_group(self) -> pulumi.Output[str]:
        return self.network.security_groups[self.role]

    @property
    def identity(self) -> NodeIdentity:
        return self.identities.of[self.role]

    @property
    def wait_for(self) -> list[pulumi.Resource]:
        """A machine needs its permissions and the token before it can start its container."""
        return [*self.identity.assignments, self.token.secret]


def custom_data(settings: ClusterSettings, node: Head | Pool, site: Site) -> pulumi.Output[str]:
    """Base64 of one node type's cloud-init; `ValueError` if a node could not boot with it."""

    def encode(known: Sequence[str]) -> str:
        registry, client_id, storage, token = known
        if node.image.registry not in ("", registry):
            raise ValueError(
                f"image in {node.image.registry}: nodes may only pull from the foundation's "
                f"registry {registry}; push it there, or set the foundation's registry to that one"
            )
        text = cloud_init(
            NodeBoot(
                role="worker" if isinstance(node, Pool) else "head",
                node_type=node.name if isinstance(node, Pool) else "head",
                image=f"{registry}/{node.image.repository}{node.image.version}",
                registry=registry,
                identity_client_id=client_id,
                token_secret=token,
                head_address=str(settings.network.head_address),
                storage=f"{storage}/{settings.stack}",
                gpus=node.size.gpus,
                spot=isinstance(node, Pool) and node.spot,
                shm_gib=node.shm_gib,
            )
        )
        return base64.b64encode(text.encode()).decode()

    return pulumi.Output.all(
        site.foundation.registry_login_server,
        site.identity.client_id,
        site.foundation.storage_uri,
        site.token.uri,
    ).apply(encode)


def tags(
    settings: ClusterSettings, node: Head | Pool, site: Site, data: pulumi.Output[str]
) -> dict[str, pulumi.Input[str]]:
    """Tags of a machine or scale set: limits that nodes read, and a fingerprint of what they start
    with, by which machines that started with something else are found. `data`: their user data."""
    others = [node.size.name, node.disk_gib, os_image(node.size).urn, settings.ssh_public_key]
    pool = {POOL_TAG: node.name} if isinstance(node, Pool) else {}
    return {
        **site.place.tags,
        **pool,
        LIMITS_TAG: limits_text(settings.limits),
        BOOT_TAG: data.apply(lambda known: fingerprint(known, *others)),
    }


def fingerprint(*parts: object) -> str:
    """Twelve characters that differ if a part differs."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]


def image_reference(size: VmSize) -> compute.ImageReferenceArgs:
    """One exact version of the operating system."""
    image = os_image(size)
    return compute.ImageReferenceArgs(
        publisher=image.publisher, offer=image.offer, sku=image.sku, version=image.version
    )


def linux(ssh_public_key: str) -> compute.LinuxConfigurationArgs:
    """SSH by key only."""
    return compute.LinuxConfigurationArgs(
        disable_password_authentication=True,
        provision_vm_agent=True,
        ssh=compute.SshConfigurationArgs(
            public_keys=[
                compute.SshPublicKeyArgs(
                    path=f"/home/{ADMIN}/.ssh/authorized_keys", key_data=ssh_public_key
                )
            ]
        ),
    )


def boot_diagnostics() -> compute.DiagnosticsProfileArgs:
    """Keep the boot log where Azure keeps it for free."""
    return compute.DiagnosticsProfileArgs(
        boot_diagnostics=compute.BootDiagnosticsArgs(enabled=True)
    )
