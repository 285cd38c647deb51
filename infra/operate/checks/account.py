"""The login: subscription, permissions, resource providers, locks, budgets."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from infra.config.settings import ClusterSettings, FoundationSettings
from infra.operate.access import roles_at, who
from infra.operate.checks.finding import Finding, ask
from infra.operate.locks import locks
from infra.operate.stack import Stack
from infra.operate.tools import az

PROVIDERS = (
    "Microsoft.Compute",
    "Microsoft.Network",
    "Microsoft.Storage",
    "Microsoft.KeyVault",
    "Microsoft.ContainerRegistry",
    "Microsoft.ManagedIdentity",
    "Microsoft.Authorization",
    "Microsoft.Consumption",
)
# A Role Based Access Control Administrator may assign roles, but not define one, as StopRole does.
MAY_ASSIGN = "User Access Administrator"


def check_account(account: dict[str, Any]) -> Iterator[Finding]:
    named = f"subscription {account['name']} ({account['id']}) as {account['user']['name']}"
    if account.get("state") != "Enabled":
        yield Finding(
            "problem", f"{named} is {account.get('state')}", "az account set --subscription NAME"
        )
    else:
        yield Finding("ok", named)


def check_rights(account: dict[str, Any]) -> Iterator[Finding]:
    """The programs create resources, define a role and assign roles. Custom roles may also allow
    that, so this is never a problem."""
    scope = f"/subscriptions/{account['id']}"
    roles = ask(lambda: roles_at(scope, who()[0]))
    if isinstance(roles, str):
        yield Finding(
            "warning",
            "cannot read your permissions",
            "make sure that you may create resources and define and assign roles",
        )
    elif "Owner" in roles or {"Contributor", MAY_ASSIGN} <= roles:
        yield Finding("ok", f"permissions in the subscription: {', '.join(sorted(roles))}")
    else:
        has = ", ".join(sorted(roles)) or "none"
        yield Finding(
            "warning",
            f"permissions in the subscription: {has}; that may not be enough",
            f"become Owner, or Contributor and {MAY_ASSIGN}, of the subscription: it gets a role "
            "definition and a budget",
        )


def check_bastion_extension(settings: ClusterSettings) -> Iterator[Finding]:
    if settings.network.bastion:
        names = {one["name"] for one in az("extension", "list") or []}
        if "bastion" not in names:
            yield Finding(
                "problem",
                "az lacks the bastion extension, which opens tunnels",
                "az extension add --name bastion",
            )


def check_providers() -> Iterator[Finding]:
    states = {one["namespace"]: one["registrationState"] for one in az("provider", "list") or []}
    for name in PROVIDERS:
        if states.get(name) != "Registered":
            yield Finding(
                "problem",
                f"{name} is not registered in the subscription",
                f"az provider register --namespace {name} --wait",
            )
    if all(states.get(name) == "Registered" for name in PROVIDERS):
        yield Finding("ok", f"{len(PROVIDERS)} resource providers are registered")


def check_locks(stack: Stack) -> Iterator[Finding]:
    """What somebody has forbidden to delete: `make down` cannot reach zero there."""
    for lock in locks(stack):
        yield Finding(
            "warning",
            f"lock {lock}: make down cannot remove what it protects",
            "ask whoever set it",
        )


def check_budget(settings: FoundationSettings) -> Iterator[Finding]:
    """Not every kind of subscription has budgets: students' and sponsored ones have none."""
    if settings.monthly_budget and isinstance(
        ask(lambda: az("consumption", "budget", "list")), str
    ):
        yield Finding(
            "problem",
            "this subscription has no budgets (or you may not see them)",
            "set monthlyBudget: 0 in infra/foundation/"
            f"Pulumi.{settings.stack}.yaml: no alerts are sent then",
        )
