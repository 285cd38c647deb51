"""Where our container images are."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import containerregistry

from infra.components.place import Place


@dataclass(frozen=True)
class RegistryArgs:
    """An `existing` registry is used as it is and never removed."""

    place: Place
    existing: str  # ARM id; empty: create one


class Registry(pulumi.ComponentResource):
    """A container registry without passwords: only identities push and pull."""

    id: pulumi.Output[str]
    login_server: pulumi.Output[str]

    def __init__(
        self, name: str, args: RegistryArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Registry", name, None, opts)
        if args.existing:
            registry = containerregistry.Registry.get(
                f"{name}-existing", args.existing, opts=pulumi.ResourceOptions(parent=self)
            )
        else:
            registry = containerregistry.Registry(
                "savannaimages",  # plus random characters: the name must be unique in the world
                resource_group_name=args.place.group,
                location=args.place.location,
                # Basic holds 10 GiB and lets few machines pull at once; Premium adds a private
                # endpoint at ten times the price.
                sku=containerregistry.SkuArgs(name=containerregistry.SkuName.STANDARD),
                admin_user_enabled=False,
                anonymous_pull_enabled=False,
                tags=args.place.tags,
                opts=pulumi.ResourceOptions(parent=self, protect=True),
            )
        self.id, self.login_server = registry.id, registry.login_server
        self.register_outputs({"id": self.id, "login_server": self.login_server})
