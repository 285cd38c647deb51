"""Pulumi's record of a stack: what it knows, what it was doing when it was killed, whether it can
be read and written."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infra.operate.lock import unlocked
from infra.operate.tools import CommandError, OperateError, pulumi, say

NO_STACK = "no stack named"
NO_PASSPHRASE = ("incorrect passphrase", "passphrase must be set", "PULUMI_CONFIG_PASSPHRASE")
ROOT_TYPE = "pulumi:pulumi:Stack"


class PassphraseError(OperateError):
    """Pulumi cannot decrypt the stack's state here."""


@dataclass(frozen=True)
class Pending:
    """A resource that Pulumi was creating when it was killed: Azure may have it, Pulumi has not."""

    urn: str
    type: str  # without "azure-native:"
    inputs: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its logical name."""
        return self.urn.rsplit("::", 1)[-1]


class Record:
    """An exported state."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self.content = content
        deployment = content.get("deployment") or {}
        self.resources: list[Mapping[str, Any]] = deployment.get("resources") or []
        self._operations: list[Mapping[str, Any]] = deployment.get("pending_operations") or []

    @property
    def pending(self) -> list[Pending]:
        """Creations in Azure that were interrupted."""
        return [
            Pending(
                one["resource"]["urn"],
                one["resource"]["type"].removeprefix("azure-native:"),
                one["resource"].get("inputs") or {},
            )
            for one in self._operations
            if one["type"] == "creating" and one["resource"]["type"].startswith("azure-native:")
        ]

    @property
    def urns(self) -> dict[str, str]:
        """Type without "azure-native:" and logical name -> URN, of what is in Azure."""
        return {
            f"{one['type'].removeprefix('azure-native:')}::{one['urn'].rsplit('::', 1)[-1]}": one[
                "urn"
            ]
            for one in self.resources
            if one["type"].startswith("azure-native:")
        }

    def without_pending(self) -> dict[str, Any]:
        """The same without interrupted creations."""
        deployment = dict(self.content["deployment"])
        deployment["pending_operations"] = [
            one for one in self._operations if one["type"] != "creating"
        ]
        return {**self.content, "deployment": deployment}


def read_record(name: str, program: Path) -> Record | None:
    """The record of a stack; None if Pulumi knows no such stack. Needs no passphrase."""
    try:
        text = pulumi("stack", "export", "--stack", name, cwd=program)
    except CommandError as error:
        if NO_STACK in error.output:
            return None
        raise
    return Record(json.loads(text or "{}"))


def make_sure(name: str, program: Path, record: Record | None, *, yes: bool) -> None:
    """Return if Pulumi can change the stack now: it is not locked, and the passphrase is right.

    Raises `OperateError`, or `PassphraseError`. To find out, its record is written once: the
    protection of its root, which nobody protects, is lifted.
    """
    root = [one["urn"] for one in record.resources if one["type"] == ROOT_TYPE] if record else []
    if not root:
        return
    try:
        unlocked(
            name,
            program,
            lambda: pulumi("state", "unprotect", root[0], "--yes", "--stack", name, cwd=program),
            yes=yes,
        )
    except CommandError as error:
        if any(words in error.output for words in NO_PASSPHRASE):
            raise PassphraseError(
                f"Pulumi cannot decrypt the state of stack {name}: {error.output.splitlines()[-1]}"
            ) from error
        # Whatever else it is, the real command will meet it too, and say it better.


def forget_pending(name: str, program: Path, record: Record) -> None:
    """Make Pulumi forget interrupted creations, after it was looked whether Azure has them."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "state.json"
        file.touch(0o600)  # its secrets are encrypted, but still
        file.write_text(json.dumps(record.without_pending()))
        pulumi("stack", "import", "--file", str(file), "--stack", name, cwd=program)


def forget(name: str, program: Path) -> None:
    """Remove the record of a stack whose resources are gone. Works without the passphrase."""
    pulumi("stack", "rm", "--force", "--yes", "--preserve-config", "--stack", name, cwd=program)


def forget_passphrase(settings: Path) -> None:
    """Let the next `up` choose a passphrase: with the old salt, Pulumi would demand the old one
    (github.com/pulumi/pulumi/issues/17759). Encrypted settings would be lost, so those stay."""
    text = settings.read_text() if settings.exists() else ""
    fresh = re.sub(r"(?m)^encryptionsalt:.*\n?", "", text)
    if fresh != text and "secure:" not in text:
        settings.write_text(fresh)
        say(f"{settings.name}: the salt of the old passphrase is removed")
