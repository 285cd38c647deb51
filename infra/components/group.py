"""The resource group that everything of a program goes into."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import resources

from infra.components.names import prefix, tags
from infra.config.settings import ClusterSettings, FoundationSettings


@dataclass(frozen=True)
class GroupArgs:
    """An existing group is used as it is and never removed."""

    settings: ClusterSettings | FoundationSettings
    subscription: str
    suffix: str = ""  # of the name of our own
    protect: bool = False


class Group(pulumi.ComponentResource):
    """A resource group, ours or one that exists."""

    name: pulumi.Output[str]
    id: pulumi.Output[str]

    def __init__(
        self, name: str, args: GroupArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Group", name, None, opts)
        existing = args.settings.resource_group
        if existing:
            self.name = pulumi.Output.from_input(existing)
            self.id = pulumi.Output.from_input(
                f"/subscriptions/{args.subscription}/resourceGroups/{existing}"
            )
        else:
            group = resources.ResourceGroup(
                f"{name}-own",
                resource_group_name=prefix(args.settings) + args.suffix,
                location=args.settings.location,
                tags=tags(args.settings),
                opts=pulumi.ResourceOptions(parent=self, protect=args.protect),
            )
            self.name, self.id = group.name, group.id
        self.register_outputs({"name": self.name, "id": self.id})
