"""The secret that Ray's nodes and clients share."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import pulumi
from pulumi_azure_native import keyvault

from infra.components.foundation import Foundation
from infra.components.place import Place


@dataclass(frozen=True)
class RayTokenArgs:
    """It is in the foundation's vault, under a name of its own for each cluster."""

    place: Place
    foundation: Foundation


class RayToken(pulumi.ComponentResource):
    """Created once with the cluster; visible only to those who may read the vault."""

    uri: pulumi.Output[str]  # without a version: always the newest
    id: pulumi.Output[str]  # ARM id, to grant reading it
    secret: keyvault.Secret

    def __init__(
        self, name: str, args: RayTokenArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:RayToken", name, None, opts)
        home = args.foundation
        self.secret = keyvault.Secret(
            # Azure's name for it gets a random suffix: a used name can never be reused.
            f"{name}-secret",
            vault_name=home.vault_id.apply(lambda id_: id_.rsplit("/", 1)[1]),
            resource_group_name=home.resource_group,
            properties=keyvault.SecretPropertiesArgs(
                value=pulumi.Output.secret(secrets.token_hex(32)), content_type="text/plain"
            ),
            tags=args.place.tags,
            opts=pulumi.ResourceOptions(
                parent=self,
                # Every run of the program draws a new value; only the first counts.
                ignore_changes=["properties.value"],
                # Deleting it would need permissions over the vault that nothing else needs.
                # Without its cluster the token is useless, and the next cluster gets its own.
                retain_on_delete=True,
            ),
        )
        self.uri = pulumi.Output.concat(home.vault_uri, "secrets/", self.secret.name)
        self.id = self.secret.id
        self.register_outputs({"uri": self.uri})
