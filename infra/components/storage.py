"""Storage where results outlive the machines that produced them."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import storage

from infra.components.place import Place

CONTAINER = "results"


@dataclass(frozen=True)
class StorageArgs:
    """`keep_days`: how long deleted results can be restored."""

    place: Place
    keep_days: int


class Storage(pulumi.ComponentResource):
    """A storage account without keys, and one private container."""

    account: pulumi.Output[str]
    container_id: pulumi.Output[str]
    uri: pulumi.Output[str]

    def __init__(
        self, name: str, args: StorageArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Storage", name, None, opts)
        durable = pulumi.ResourceOptions(parent=self, protect=True)
        account = storage.StorageAccount(
            "savanna",  # plus random characters: the name must be unique in the world
            resource_group_name=args.place.group,
            location=args.place.location,
            kind=storage.Kind.STORAGE_V2,
            sku=storage.SkuArgs(name=storage.SkuName.STANDARD_LRS),
            access_tier=storage.AccessTier.HOT,
            # Folders that can be renamed in one step, as abfss:// promises. This rules out blob
            # versions; deleted blobs can be restored.
            is_hns_enabled=True,
            allow_shared_key_access=False,
            allow_blob_public_access=False,
            allow_cross_tenant_replication=False,
            default_to_o_auth_authentication=True,
            enable_https_traffic_only=True,
            minimum_tls_version=storage.MinimumTlsVersion.TLS1_2,
            tags=args.place.tags,
            opts=durable,
        )
        keep = storage.DeleteRetentionPolicyArgs(enabled=True, days=args.keep_days)
        storage.BlobServiceProperties(
            f"{name}-undelete",
            account_name=account.name,
            resource_group_name=args.place.group,
            blob_services_name="default",
            delete_retention_policy=keep,
            container_delete_retention_policy=keep,
            opts=pulumi.ResourceOptions(parent=self),
        )
        container = storage.BlobContainer(
            f"{name}-{CONTAINER}",
            container_name=CONTAINER,
            account_name=account.name,
            resource_group_name=args.place.group,
            public_access=storage.PublicAccess.NONE,
            opts=durable,
        )
        self.account, self.container_id = account.name, container.id
        self.uri = pulumi.Output.format(
            "abfss://{0}@{1}.dfs.core.windows.net", CONTAINER, account.name
        )
        self.register_outputs({"account": self.account, "uri": self.uri})
