"""The vault that keeps the Ray tokens."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import keyvault

from infra.components.place import Place


@dataclass(frozen=True)
class VaultArgs:
    """Role assignments, not the vault itself, determine who may read what."""

    place: Place
    tenant: str


class Vault(pulumi.ComponentResource):
    """A key vault that a purge can remove for good: its content can be recreated."""

    id: pulumi.Output[str]
    uri: pulumi.Output[str]

    def __init__(
        self, name: str, args: VaultArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Vault", name, None, opts)
        vault = keyvault.Vault(
            "savanna-vault",  # plus random characters: a deleted vault blocks its name for days
            resource_group_name=args.place.group,
            location=args.place.location,
            properties=keyvault.VaultPropertiesArgs(
                tenant_id=args.tenant,
                sku=keyvault.SkuArgs(family=keyvault.SkuFamily.A, name=keyvault.SkuName.STANDARD),
                enable_rbac_authorization=True,
                enable_soft_delete=True,
                soft_delete_retention_in_days=7,
                # No enable_purge_protection: it can never be switched off again, and Azure
                # refuses false.
            ),
            tags=args.place.tags,
            opts=pulumi.ResourceOptions(parent=self, protect=True),
        )
        self.id, self.uri = vault.id, vault.properties.vault_uri
        self.register_outputs({"id": self.id, "uri": self.uri})
