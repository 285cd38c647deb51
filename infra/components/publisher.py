"""Who may push images: one branch's workflow on GitHub, without a password."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi
from pulumi_azure_native import managedidentity

from infra.components.place import Place
from infra.components.roles import Grant, assign
from infra.config.settings import FoundationSettings

ISSUER = "https://token.actions.githubusercontent.com"
AUDIENCE = "api://AzureADTokenExchange"


@dataclass(frozen=True)
class PublisherArgs:
    """`settings` names a GitHub repository and a branch; only these may push."""

    place: Place
    settings: FoundationSettings
    push: Grant


class Publisher(pulumi.ComponentResource):
    """An identity that GitHub's short-lived tokens can log in as."""

    client_id: pulumi.Output[str]

    def __init__(
        self, name: str, args: PublisherArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("savanna:infra:Publisher", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        identity = managedidentity.UserAssignedIdentity(
            f"{name}-user",
            resource_name_=f"{args.place.prefix}-image-ci",
            resource_group_name=args.place.group,
            location=args.place.location,
            tags=args.place.tags,
            opts=child,
        )
        managedidentity.FederatedIdentityCredential(
            f"{name}-github",
            federated_identity_credential_resource_name="github",
            resource_name_=identity.name,
            resource_group_name=args.place.group,
            issuer=ISSUER,
            subject=f"repo:{args.settings.repository}:ref:refs/heads/{args.settings.repository_branch}",
            audiences=[AUDIENCE],
            opts=child,
        )
        assign(name, args.push, identity.principal_id, child)
        self.client_id = identity.client_id
        self.register_outputs({"client_id": self.client_id})
