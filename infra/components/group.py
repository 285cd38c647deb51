"""The resource group that all of a program goes into, and its subscription."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import authorization, resources

from infra.components.names import prefix, tags
from infra.components.place import Place
from infra.config.settings import ClusterSettings, FoundationSettings


@dataclass(frozen=True)
class GroupArgs:
    """An existing group is used as it is and never removed."""

    settings: ClusterSettings | FoundationSettings
    suffix: str = ""  # of the name of our own group
    protect: bool = False


class Group(pulumi.ComponentResource):
    """A resource group, ours or an existing one, in the subscription of the current login."""

    id: pulumi.Output[str]
    place: Place
    subscription: str
    tenant: str

    def __init__(
        self, name: str, args: GroupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Group", name, None, opts)
        settings = args.settings
        azure = authorization.get_client_config()
        self.subscription, self.tenant = azure.subscription_id, azure.tenant_id
        existing = settings.resource_group
        if existing:
            group_name = pulumi.Output.from_input(existing)
            self.id = pulumi.Output.from_input(
                f"/subscriptions/{self.subscription}/resourceGroups/{existing}"
            )
        else:
            group = resources.ResourceGroup(
                f"{name}-own",
                resource_group_name=prefix(settings) + args.suffix,
                location=settings.location,
                tags=tags(settings),
                opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
            )
            group_name, self.id = group.name, group.id
        self.place = Place(prefix(settings), group_name, settings.location, tags(settings))
        self.register_outputs({"name": group_name, "id": self.id})
