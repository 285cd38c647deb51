"""The tools on this machine: `az`, `pulumi` and where it keeps its state, what builds images, the
SSH key."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from importlib.metadata import version

from infra.operate.checks.finding import Finding, ask
from infra.operate.keys import fingerprint, in_agent, private_key
from infra.operate.publish import lacking, to_build
from infra.operate.stack import Stack
from infra.operate.state import NO_PASSPHRASE
from infra.operate.tools import az, missing, pulumi

LEAST_AZ = (2, 60)  # Flexible scale sets in `az vmss scale`, Bastion's tunnels


def check_tools() -> Iterator[Finding]:
    """The checks that need no settings."""
    absent = missing(("az", "pulumi", "ssh"))
    yield from (Finding("problem", line.split(". ")[0], line.split(". ")[1]) for line in absent)
    if not any(line.startswith("pulumi") for line in absent):
        yield _version("pulumi", pulumi("version"), _pinned_pulumi())
        yield _pulumi_state()
    if not any(line.startswith("az ") for line in absent):
        yield _version("az", str((az("version") or {}).get("azure-cli", "")), LEAST_AZ)


def _pulumi_state() -> Finding:
    """Where Pulumi keeps the state of stacks, which includes the Ray token (encrypted)."""
    answer = ask(lambda: pulumi("whoami", "--json"))
    if answer.startswith("error"):
        return Finding(
            "problem",
            "Pulumi has no place for its state",
            "pulumi login azblob://CONTAINER?storage_account=NAME (for a team), or "
            "pulumi login --local (only on this machine)",
        )
    who = json.loads(answer)
    url = str(who.get("url", ""))
    passphrase = any(
        os.environ.get(f"PULUMI_CONFIG_PASSPHRASE{end}") is not None for end in ("", "_FILE")
    )
    if not url.startswith("https://") and not passphrase:
        return Finding(
            "problem",
            f"Pulumi's state in {url} has no passphrase for its secrets",
            "export PULUMI_CONFIG_PASSPHRASE_FILE=FILE, with a file that the whole team has",
        )
    return Finding("ok", f"Pulumi keeps its state in {url} as {who.get('user')}")


def _pinned_pulumi() -> tuple[int, int]:
    """The SDK's own release: older command lines have not been tried."""
    major, minor = version("pulumi").split(".")[:2]
    return int(major), int(minor)


def _version(name: str, text: str, least: tuple[int, int]) -> Finding:
    found = re.search(r"(\d+)\.(\d+)", text)
    if found and (int(found[1]), int(found[2])) >= least:
        return Finding("ok", f"{name} {text.strip()}")
    wanted = ".".join(map(str, least))
    return Finding("problem", f"{name} {text.strip()} is too old", f"install {wanted} or newer")


def check_passphrase(stack: Stack) -> Iterator[Finding]:
    """Whether Pulumi can decrypt what it knows: it reads outputs without that, but changes nothing.

    The state goes nowhere from here; only an error is looked at.
    """
    answer = ask(lambda: pulumi("stack", "export", "--show-secrets", "--stack", stack.name))
    if any(words in answer for words in NO_PASSPHRASE) and answer.startswith("error"):
        yield Finding(
            "problem",
            f"Pulumi cannot decrypt the state of stack {stack.name}: the passphrase is wrong",
            "export PULUMI_CONFIG_PASSPHRASE_FILE=FILE with the team's; if it is lost: make down "
            "removes the cluster without it",
        )


def check_key(stack: Stack) -> Iterator[Finding]:
    """Whether the private key of `sshPublicKey` is here: the head would refuse any other."""
    public = stack.cluster.ssh_public_key
    if private_key(public) or in_agent(public):
        yield Finding("ok", f"the private key of sshPublicKey is here ({fingerprint(public)})")
    else:
        yield Finding(
            "warning",
            f"no private key for sshPublicKey ({fingerprint(public)}) in ~/.ssh or the agent",
            "ssh-add KEYFILE, or set sshPublicKey to one of yours; tunnels and ssh need it",
        )


def check_builds(stack: Stack) -> Iterator[Finding]:
    """Checked before a foundation costs money."""
    flavours = to_build(stack)
    problems = [Finding("problem", what, fix) for what, fix in lacking(flavours)]
    if flavours and not problems:
        yield Finding("ok", f"images can be built and pushed: {', '.join(flavours)}")
    yield from problems
