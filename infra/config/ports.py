"""Which nodes must reach which on Ray's ports, and the security rules that follow.

`rules` is the only table. All other ports that Ray listens on are in `CLOSED`, so that a test
finds any port that a new version opens: it is in neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Literal

from infra.config.settings import Network
from infra.facts import facts

Role = Literal["head", "worker"]
SSH = "22"
FIRST_ADMIN_PRIORITY = 300
LAST_PRIORITY = 4096  # the last before Azure's own rules, which admit the whole network


@dataclass(frozen=True)
class PortRule:
    """Nodes of role `source` reach nodes of role `destination` on TCP `ports`."""

    name: str
    priority: int
    source: Role
    destination: Role
    ports: tuple[str, ...]  # "6379" or "10002-10999"
    why: str


@dataclass(frozen=True)
class SecurityRule:
    """One rule of a network security group, in Azure's terms."""

    name: str
    priority: int
    direction: str
    access: str
    protocol: str
    source: str  # address prefix, or "*"
    destination: str
    destination_ports: tuple[str, ...]
    description: str  # at most 140 characters
    source_ports: str = "*"


def _ports(*keys: str) -> tuple[str, ...]:
    workers = f"{facts()['MIN_WORKER_PORT']}-{facts()['MAX_WORKER_PORT']}"
    return (*(facts()[f"{key}_PORT"] for key in keys), workers)


def rules() -> tuple[PortRule, ...]:
    """The table, with the ports of `cluster.env`."""
    return (
        PortRule(
            "ray-workers-to-head",
            200,
            "worker",
            "head",
            _ports("HEAD", "NODE_MANAGER", "OBJECT_MANAGER"),
            "join the cluster, schedule, move objects, call actors",
        ),
        PortRule(
            "ray-head-to-workers",
            210,
            "head",
            "worker",
            _ports(
                "NODE_MANAGER", "OBJECT_MANAGER", "DASHBOARD_AGENT_GRPC", "DASHBOARD_AGENT_HTTP"
            ),
            "schedule, move objects, read logs and statistics, call actors",
        ),
        PortRule(
            "ray-workers-to-workers",
            220,
            "worker",
            "worker",
            _ports("NODE_MANAGER", "OBJECT_MANAGER"),
            "move objects, call actors",
        ),
    )


# Key in cluster.env -> why no other machine may reach that port.
CLOSED = {
    "DASHBOARD_PORT": "dashboard and Jobs API: through an SSH tunnel to the head's loopback",
    "RAY_CLIENT_PORT": "Ray Client: not used, jobs are submitted",
    "RUNTIME_ENV_AGENT_PORT": "used only by the node itself",
    "METRICS_EXPORT_PORT": "metrics, without authentication",
    "AUTOSCALER_METRIC_PORT": "metrics, without authentication",
    "DASHBOARD_METRIC_PORT": "metrics, without authentication",
}


def ranges(network: Network, role: Role) -> IPv4Network:
    """The range of a role: one address for the head, the whole subnet for workers."""
    return IPv4Network(network.head_address) if role == "head" else network.worker_subnet


def security_rules(network: Network, role: Role) -> tuple[SecurityRule, ...]:
    """All inbound rules of the security group for `role`, by priority; the last is a Deny.

    Outbound rules stay at Azure's default: nodes reach registry, storage and vault through the
    NAT gateway.
    """
    here = str(ranges(network, role))
    allowed = [
        SecurityRule(
            name=rule.name,
            priority=rule.priority,
            direction="Inbound",
            access="Allow",
            protocol="Tcp",
            source=str(ranges(network, rule.source)),
            destination=here,
            destination_ports=rule.ports,
            description=f"Ray, {rule.source} to {role}: {rule.why}",
        )
        for rule in rules()
        if rule.destination == role
    ]
    admins = [("admin", one) for one in network.admin_ranges]
    if network.bastion_subnet:
        admins = [("bastion", network.bastion_subnet), *admins]
    ssh = [
        SecurityRule(
            name=f"ssh-from-{who}-{number}",
            priority=FIRST_ADMIN_PRIORITY + number,
            direction="Inbound",
            access="Allow",
            protocol="Tcp",
            source=str(prefix),
            destination=here,
            destination_ports=(SSH,),
            description="SSH, which also carries the tunnel to the dashboard and the Jobs API",
        )
        for number, (who, prefix) in enumerate(admins)
    ]
    deny = SecurityRule(
        name="deny-all-else",
        priority=LAST_PRIORITY,
        direction="Inbound",
        access="Deny",
        protocol="*",
        source="*",
        destination="*",
        destination_ports=("*",),
        description="Without this, Azure's AllowVnetInBound admits the whole virtual network",
    )
    return (*allowed, *ssh, deny)
