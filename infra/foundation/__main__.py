"""The durable program: what outlives every cluster. Whatever holds data is protected."""

import pulumi

from infra.components.budget import Budget, BudgetArgs
from infra.components.group import Group, GroupArgs
from infra.components.publisher import Publisher, PublisherArgs
from infra.components.registry import Registry, RegistryArgs
from infra.components.roles import Grant, built_in
from infra.components.storage import Storage, StorageArgs
from infra.components.vault import Vault, VaultArgs
from infra.config.pulumi_config import foundation_settings

s = foundation_settings()
group = Group("group", GroupArgs(s, "-foundation", protect=True))
place = group.place
registry = Registry("registry", RegistryArgs(place, s.registry))
storage = Storage("storage", StorageArgs(place, s.keep_days))
vault = Vault("vault", VaultArgs(place, group.tenant))
if s.monthly_budget:
    Budget("budget", BudgetArgs(s, group.subscription))
push = Grant("push", built_in("AcrPush", group.subscription), registry.id)
publisher = s.repository and Publisher("image-ci", PublisherArgs(place, s, push))

pulumi.export("location", s.location)
pulumi.export("subscription", group.subscription)
pulumi.export("tenant", group.tenant)
pulumi.export("resource_group", place.group)
pulumi.export("registry_id", registry.id)
pulumi.export("registry_login_server", registry.login_server)
pulumi.export("storage_account", storage.account)
pulumi.export("storage_uri", storage.uri)
pulumi.export("results_container_id", storage.container_id)
pulumi.export("vault_id", vault.id)
pulumi.export("vault_uri", vault.uri)
pulumi.export("image_ci_client_id", publisher.client_id if publisher else "")
