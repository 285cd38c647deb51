"""Why a deployment failed, in one line per cause: the resource, Azure's words, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from infra.plan.fake_azure import PATHS

ADVICE = (
    ("quota", "raise it (portal, Quotas, Compute), or use fewer or smaller machines"),
    (
        "SkuNotAvailable|AllocationFailed|Overconstrained|capacity",
        "Azure has no such machine now: run it again later, or choose another size or location",
    ),
    (
        "already exist|exists already|AlreadyExists",
        "run make up again; if it says the same, make down removes what is there",
    ),
    ("ScopeLocked|cannot perform delete|locked", "az lock list shows the lock; its owner lifts it"),
    ("AuthorizationFailed|Forbidden|does not have authorization", "make doctor shows your roles"),
    ("RequestDisallowedByPolicy", "ask who administers the subscription's policies"),
    ("PropertyChangeNotAllowed|InUsePrefix|Netcfg", "make down and make up, or the old setting"),
    ("InUse|NicReserved|CannotBeDeleted", "run it again in a few minutes"),
    ("Please run 'az login'|AADSTS|ExpiredToken|ExpiredAuthentication", "az login"),
)
"""Words in Azure's code or message, and what to do; the first that fits."""
OTHERWISE = "fix that, and run the same command again"
CODES = (
    re.compile(r"""Code=["'](?P<code>\w+)["'] Message=(?P<q>["'])(?P<message>.*?)(?P=q)""", re.S),
    re.compile(r"ERROR CODE: (?P<code>\w+).*?\"message\": \"(?P<message>.*?)\"", re.S),
    re.compile(r"\((?P<code>\w+)\) (?P<message>.*)"),
)
"""How the provider, its newer client, and `az` give Azure's answers."""


def causes(events: Iterable[Mapping[str, Any]]) -> list[str]:
    """From the events of an update: a line for each resource that failed."""
    names: dict[str, str] = {}
    found: dict[str, str] = {}
    for event in events:
        for kind in ("resourcePreEvent", "resOpFailedEvent"):
            if kind in event:
                names[event[kind]["metadata"]["urn"]] = resource_name(event[kind]["metadata"])
        said = event.get("diagnosticEvent") or {}
        # Without a resource it only says that the update has failed.
        if said.get("severity") == "error" and said.get("urn"):
            found.setdefault(said["urn"], str(said["message"]))
    return [
        f"{names.get(urn) or urn.rsplit('::', 1)[-1]}: {explain(said)}"
        for urn, said in found.items()
    ]


def explain(said: str) -> str:
    """Azure's code and message, and what to do."""
    for pattern in CODES:
        if match := pattern.search(said):
            text = f"{match['code']}: {match['message']}"
            break
    else:
        text = said.strip().removeprefix("error: ")
    text = " ".join(text.split()).rstrip(".")
    advice = next((do for words, do in ADVICE if re.search(words, text, re.I)), OTHERWISE)
    return f"{text}. What to do: {advice}"


def resource_name(metadata: Mapping[str, Any]) -> str:
    """Its name in Azure with its type, as "VirtualMachine savanna-dev-head", or Pulumi's name."""
    type_ = str(metadata["type"]).removeprefix("azure-native:")
    logical = metadata["urn"].rsplit("::", 1)[-1]
    inputs = ((metadata.get("new") or metadata.get("old") or {}).get("inputs")) or {}
    key = re.findall(r"\{(\w+)\}", PATHS.get(type_, "{resourceGroupName}"))[-1]
    name = inputs.get(key, "")
    kind = type_.rsplit(":", 1)[-1]
    unreadable = kind.startswith("Role") or not isinstance(name, str) or not name
    return f"{kind} {logical if unreadable else name}"
