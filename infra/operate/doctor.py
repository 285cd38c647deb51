"""`make doctor`: whether `make up` can work, checked before anything is created."""

from __future__ import annotations

from collections.abc import Iterator

from infra.operate.checks import account, region, tools
from infra.operate.checks.finding import Finding
from infra.operate.stack import Stack
from infra.operate.tools import CommandError, LoginError, az


def examine(stack: Stack) -> list[Finding]:
    """Check everything, in the order in which it would fail.

    Checks that depend on one that failed are left out; what was found until then is told.
    """
    found: list[Finding] = []
    try:
        found.extend(examine_tools())
        if not any(finding.level == "problem" for finding in found):
            for finding in _with_tools(stack):
                found.append(finding)
    except LoginError as error:
        found.append(Finding("problem", f"not logged in to Azure: {error.why}", "az login"))
    except CommandError as error:
        found.append(Finding("problem", str(error), "see what it says, then make doctor again"))
    return found


def examine_tools() -> list[Finding]:
    """The checks that need no settings."""
    return list(tools.check_tools())


def _with_tools(stack: Stack) -> Iterator[Finding]:
    yield from tools.check_builds(stack)
    yield from tools.check_key(stack)
    yield from tools.check_passphrase(stack)
    az("account", "get-access-token")  # the rest would fail one by one
    login = az("account", "show")
    yield from account.check_account(login)
    yield from account.check_rights(login)
    yield from account.check_bastion_extension(stack.cluster)
    yield from account.check_providers()
    yield from account.check_budget(stack.foundation)
    yield from account.check_locks(stack)
    location = stack.cluster.location
    regions = az("account", "list-locations") or []
    if location not in {one["name"] for one in regions}:
        yield Finding(
            "problem",
            f"no region {location} in this subscription",
            f"pulumi config set location NAME --stack {stack.name}; "
            "az account list-locations lists the names",
        )
        return
    yield Finding("ok", f"region {location}")
    for size, spot in region.wanted_sizes(stack.cluster).items():
        yield from region.check_size(size, spot, location)
    yield from region.check_images(stack.cluster)
    yield from region.check_quota(stack)
