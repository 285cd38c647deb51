"""The checks of the rules about the network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from infra.facts import facts, number

ANYONE = ("*", "internet", "0.0.0.0/0", "::/0", "any")


def security_rules(type_: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    rules = inputs.get("securityRules") or [] if type_.endswith("Group") else [inputs]
    wrong = []
    for rule in rules:
        if rule.get("direction") != "Inbound" or rule.get("access") != "Allow":
            continue
        name = rule.get("name") or rule.get("securityRuleName") or "rule"
        ray = _ray_ports(rule)
        for source in _sources(rule):
            if source.lower() in ANYONE:
                wrong.append(f"{name}: open to anyone ({source}); name the ranges that need access")
            elif (range_ := _range(source)) is None:
                if ray and "/" not in source:
                    wrong.append(
                        f"{name}: Ray's ports {ray} are open to {source}; name the subnets"
                    )
            elif ray and not range_.is_private:
                wrong.append(f"{name}: Ray's ports {ray} are open to the public range {source}")
            elif range_.prefixlen < 8:
                wrong.append(f"{name}: {source} is a large part of the Internet; narrow it")
    return wrong


def final_deny(_type: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    inbound = [r for r in inputs.get("securityRules") or [] if r.get("direction") == "Inbound"]
    last = max(inbound, key=lambda rule: rule.get("priority", 0), default=None)
    if (
        last is None
        or last.get("access") != "Deny"
        or last.get("protocol") != "*"
        or "*" not in _ports(last)
        or not {source.lower() for source in _sources(last)} & {"*", "virtualnetwork"}
    ):
        return [
            "the last inbound rule does not deny everything, so Azure's default admits the whole "
            "virtual network. Add Deny * from VirtualNetwork or * at priority 4096"
        ]
    return []


def public_address(type_: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    if type_ in ("network:NatGateway", "network:BastionHost", "network:PublicIPAddress"):
        return []
    return [
        f"{path}: only the NAT gateway and Bastion may have a public address"
        for path, key, value in _entries(inputs)
        if key.lower().startswith(("publicipaddress", "publicipprefix")) and value
    ]


def default_outbound(type_: str, inputs: Mapping[str, Any], _options: object) -> list[str]:
    subnets = inputs.get("subnets") or [] if type_.endswith("Network") else [inputs]
    return [
        f"subnet {name}: set defaultOutboundAccess to false"
        for subnet in subnets
        for name in [subnet.get("subnetName") or subnet.get("name") or "?"]
        if name != "AzureBastionSubnet" and subnet.get("defaultOutboundAccess") is not False
    ]


def _listed(rule: Mapping[str, Any], one: str, many: str) -> list[str]:
    return [str(v) for v in (rule.get(one), *(rule.get(many) or [])) if v]


def _sources(rule: Mapping[str, Any]) -> list[str]:
    groups = [str(g.get("id", "")) for g in rule.get("sourceApplicationSecurityGroups") or []]
    return _listed(rule, "sourceAddressPrefix", "sourceAddressPrefixes") + groups


def _ports(rule: Mapping[str, Any]) -> list[str]:
    return _listed(rule, "destinationPortRange", "destinationPortRanges")


def _ray_ports(rule: Mapping[str, Any]) -> str:
    """The rule's port ranges that contain a port of Ray; empty if there are none."""
    single = [number(k) for k in facts() if k.endswith("_PORT") and "_WORKER_" not in k]
    ours = [(port, port) for port in single]
    ours.append((number("MIN_WORKER_PORT"), number("MAX_WORKER_PORT")))
    found = []
    for text in _ports(rule):
        low, _, high = ("0-65535" if text == "*" else text).partition("-")
        if any(int(low) <= b and a <= int(high or low) for a, b in ours):
            found.append(text)
    return ", ".join(found)


def _range(source: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(source, strict=False)
    except ValueError:
        return None


def _entries(value: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    if isinstance(value, Mapping):
        for key in value:
            here = f"{path}.{key}" if path else str(key)
            yield here, str(key), value[key]
            yield from _entries(value[key], here)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            yield from _entries(item, f"{path}[{index}]")
