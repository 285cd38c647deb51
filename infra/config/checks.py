"""Checks of single values: what Azure and we accept; else one problem with its fix."""

from __future__ import annotations

import base64
import binascii
import re
import struct
from datetime import UTC, date, datetime, timedelta
from ipaddress import IPv4Network

from infra.config.addresses import PRIVATE, parse_range
from infra.config.problems import Problems
from infra.config.settings import Image

MOST_TAGS = 40  # beside ours
WIDEST_PUBLIC = 24  # prefix of a public range that may reach SSH: one site, not a whole provider
SSH_FIELDS = {
    "ssh-ed25519": 2,
    "ssh-rsa": 3,
}  # kinds that Azure accepts, and their number of fields
SHORTEST_RSA = 2048  # bits, the minimum that Azure accepts
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
IMAGE = re.compile(
    r"(?:(?P<registry>[a-z0-9-]+(?:\.[a-z0-9-]+)+)/)?"
    r"(?P<repository>[a-z0-9]+(?:[._/-][a-z0-9]+)*)"
    r"(?P<version>@sha256:[0-9a-f]{64}|:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})"
)
GUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
GROUP = r"[\w.()-]{1,90}"
ARM_IDS = {
    "subnet": ("Microsoft.Network/virtualNetworks", "NETWORK", "/subnets/", "SUBNET"),
    "registry": ("Microsoft.ContainerRegistry/registries", "NAME", "", ""),
}


def check_name(key: str, value: str, most: int, problems: Problems) -> str:
    """2 to `most` characters of a-z, 0-9 and single dashes: valid for every Azure resource."""
    if not NAME.fullmatch(value) or not 2 <= len(value) <= most:
        fix = f"use 2-{most} of a-z, 0-9 and single dashes, starting with a letter"
        problems.add(key, value, fix)
    return value


def check_location(value: str, problems: Problems) -> str:
    """A region's short name; only Azure knows which regions exist."""
    if not re.fullmatch(r"[a-z]+[0-9]?", value):
        short = re.sub(r"[^a-z0-9]", "", value.lower())
        problems.add("location", value, f"use the short name, such as {short or 'westeurope'}")
    return value


def check_resource_group(value: str, problems: Problems) -> str:
    """Empty, or a name that Azure accepts for a resource group."""
    if value and (not re.fullmatch(GROUP, value) or value.endswith(".")):
        fix = "use 1-90 letters, digits, dots, dashes, underscores or brackets, no dot at the end"
        problems.add("resourceGroup", value, fix)
    return value


def check_owner(value: str, problems: Problems) -> str:
    """A tag's value, on one line."""
    if len(value) > 100 or not value.isprintable():
        problems.add("owner", value, "use at most 100 characters on one line")
    return value


def check_tags(tags: dict[str, str], problems: Problems) -> dict[str, str]:
    """Tags that Azure accepts on every resource, and that are not ours."""
    for name, value in tags.items():
        if name.lower().startswith("savanna-"):
            problems.add("tags", name, "is ours; tags of your own must not start with savanna-")
        elif not 1 <= len(name) <= 128 or set(name) & set("<>%&\\?/") or not name.isprintable():
            problems.add("tags", name, "use 1-128 characters other than <>%&\\?/")
        elif len(value) > 256 or not value.isprintable():
            problems.add("tags", value, f"{name}: use at most 256 characters on one line")
    if len(tags) > MOST_TAGS:
        problems.add(
            "tags", f"{len(tags)} tags", f"use at most {MOST_TAGS}; Azure allows 50 in all"
        )
    return tags


def check_arm_id(key: str, value: str, kind: str, problems: Problems) -> str:
    """Empty, or the ARM id of an existing resource of that kind."""
    provider, name, part, child = ARM_IDS[kind]
    pattern = f"/subscriptions/{GUID}/resourceGroups/{GROUP}/providers/{provider}/[\\w.-]+"
    if part:
        pattern += f"{part}[\\w.-]+"
    if value and not re.fullmatch(pattern, value, re.IGNORECASE):
        shape = f"/subscriptions/ID/resourceGroups/GROUP/providers/{provider}/{name}{part}{child}"
        problems.add(key, value, f"is not the ARM id of a {kind}, which looks like {shape}")
    return value


def check_admin_range(text: str, problems: Problems) -> IPv4Network | None:
    """A range that may reach SSH: private, or public and small."""
    network = parse_range("adminRanges", text, problems)
    if network is None or any(network.subnet_of(private) for private in PRIVATE):
        return network
    if network.prefixlen < WIDEST_PUBLIC:
        fix = f"opens SSH too widely; name your VPN's range, public ones up to a /{WIDEST_PUBLIC}"
        problems.add("adminRanges", text, fix)
        return None
    return network


def check_image(key: str, value: str, dev: bool, problems: Problems) -> Image:
    """An image by digest, or by tag if `dev`. `key` is cpuImage or gpuImage."""
    match = IMAGE.fullmatch(value)
    if not match:
        fix = "write REPOSITORY@sha256:DIGEST, with a digest of 64 characters 0-9 and a-f"
        problems.add(key, value, fix)
        return Image("", "", "")
    image = Image(match["registry"] or "", match["repository"], match["version"])
    if not image.by_digest and not dev:
        fix = "a tag can be moved; write REPOSITORY@sha256:DIGEST, as printed by `make image-push`"
        problems.add(key, value, f"{fix} (or set dev to true)")
    wanted, other = (key[:3], "gpu" if key == "cpuImage" else "cpu")
    if other in re.split(r"[._/-]", image.repository):
        problems.add(key, value, f"is the {other} flavour; use the {wanted} flavour")
    return image


def check_ssh_key(value: str, problems: Problems) -> str:
    """One line in OpenSSH's public key format. No part of a private key is ever printed."""
    fix = "use the line in a file like ~/.ssh/id_ed25519.pub"
    if "PRIVATE KEY" in value:
        problems.add("sshPublicKey", "(a private key)", f"is secret, remove it; {fix}")
        return ""
    kind, _, rest = value.partition(" ")
    shown = f"{kind} ..." if kind.startswith(("ssh-", "ecdsa-")) else f"({len(value)} characters)"
    if kind not in SSH_FIELDS:
        problems.add("sshPublicKey", shown, f"Azure accepts ssh-ed25519 and ssh-rsa; {fix}")
        return value
    try:
        fields = _ssh_fields(base64.b64decode(rest.split(" ")[0], validate=True))
    except (binascii.Error, struct.error, ValueError):
        fields = []
    whole = fields and fields[0] == kind.encode() and len(fields) == SSH_FIELDS[kind]
    if not whole or (kind == "ssh-ed25519" and len(fields[1]) != 32):
        problems.add("sshPublicKey", shown, f"is damaged or truncated; {fix}")
    elif kind == "ssh-rsa" and (bits := int.from_bytes(fields[2]).bit_length()) < SHORTEST_RSA:
        problems.add(
            "sshPublicKey", shown, f"has {bits} bits, Azure requires {SHORTEST_RSA} or more"
        )
    return value


def _ssh_fields(blob: bytes) -> list[bytes]:
    """The fields of a key as in RFC 4251: each has a 4-byte length and that many bytes."""
    fields = []
    while blob:
        (length,) = struct.unpack(">I", blob[:4])
        if len(blob) < 4 + length:
            raise ValueError("truncated")
        fields.append(blob[4 : 4 + length])
        blob = blob[4 + length :]
    return fields


def expiry(text: str, hours: int, now: datetime, problems: Problems) -> str:
    """`text`, or `hours` from `now`, as UTC to the minute: "2026-11-24T18:00Z".

    A time in the past is not a mistake: `down` must work for an expired cluster.
    """
    if not text:
        return f"{now.astimezone(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%MZ}"
    try:
        datetime.strptime(text, "%Y-%m-%dT%H:%MZ")
    except ValueError:
        problems.add("expires", text, "write UTC to the minute, such as 2026-12-24T18:00Z")
    return text


def first_of_month(text: str, today: date, problems: Problems) -> str:
    """`text`, or the first day of this month, as Azure requires for a budget's start."""
    if not text:
        return today.replace(day=1).isoformat()
    try:
        if date.fromisoformat(text).day == 1:
            return text
    except ValueError:
        pass
    problems.add("budgetStart", text, "write the first day of a month, such as 2026-11-01")
    return text
