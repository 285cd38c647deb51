"""The cluster's settings, which `read.py` creates from Pulumi's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

from infra.config.sizes import VmSize


@dataclass(frozen=True)
class Image:
    """A container image, by digest outside development: `REGISTRY/REPOSITORY@sha256:...`."""

    registry: str  # login server; empty: the foundation's registry
    repository: str  # "savanna-cpu"
    version: str  # "@sha256:<64 hex>" or ":tag"

    @property
    def by_digest(self) -> bool:
        return self.version.startswith("@sha256:")


@dataclass(frozen=True)
class Head:
    """The head node: one on-demand machine at a fixed private address."""

    size: VmSize
    image: Image
    disk_gib: int
    shm_gib: int  # of the container; derived from the size's memory unless set


@dataclass(frozen=True)
class Pool:
    """A worker pool: one scale set with one size and one priority."""

    name: str  # kebab-case; also the Ray node type
    size: VmSize
    image: Image
    min: int  # machines that `up` starts with
    max: int  # machines that it may grow to
    spot: bool
    max_price: float  # US dollars per hour; -1: up to the on-demand price
    disk_gib: int
    shm_gib: int


@dataclass(frozen=True)
class Network:
    """The address plan, and who has access."""

    address_space: IPv4Network  # of the virtual network
    head_subnet: IPv4Network
    worker_subnet: IPv4Network
    bastion_subnet: IPv4Network | None  # None: no Bastion
    head_address: IPv4Address
    admin_ranges: tuple[
        IPv4Network, ...
    ]  # may reach SSH; private ranges or a VPN's, never 0.0.0.0/0
    existing_subnet_id: str  # ARM id; if set, there is no network, NAT gateway or Bastion of ours,
    # and head_subnet and worker_subnet are both that subnet's range

    @property
    def bastion(self) -> bool:
        return self.bastion_subnet is not None


@dataclass(frozen=True)
class Limits:
    """When machines stop themselves."""

    join_minutes: int  # a node that has not joined after these reports why and stops
    idle_minutes: int  # the head stops after these without a Ray job; 0: never
    max_hours: float  # the head stops after these, even if jobs run; 0: never


@dataclass(frozen=True)
class ClusterSettings:
    """Everything `infra/cluster` declares follows from this."""

    name: str  # prefix of resource names, 2-20 characters [a-z0-9-]
    stack: str  # Pulumi's stack, e.g. "dev"
    owner: str  # who is responsible for the bill; an e-mail address or a team
    tags: Mapping[str, str]  # of one's own
    location: str
    foundation: str  # stack reference: "ORGANISATION/savanna-foundation/STACK"
    resource_group: str  # an existing one; empty: create one
    ssh_public_key: str
    dev: bool  # allow image tags
    head: Head
    pools: tuple[Pool, ...]
    network: Network
    limits: Limits
    expires: str  # UTC, ISO 8601 to the minute, a tag on everything

    @property
    def min_workers(self) -> int:
        return sum(pool.min for pool in self.pools)

    @property
    def max_workers(self) -> int:
        return sum(pool.max for pool in self.pools)


@dataclass(frozen=True)
class FoundationSettings:
    """Everything `infra/foundation` declares follows from this."""

    name: str
    stack: str
    owner: str
    tags: Mapping[str, str]  # of one's own
    location: str
    resource_group: str  # an existing one; empty: create one
    registry: str  # ARM id of an existing container registry; empty: create one
    monthly_budget: int  # US dollars; only sends alerts, stops nothing; 0: none
    budget_emails: tuple[str, ...]
    budget_start: str  # first day of a month, "2026-11-01"
    repository: str  # "OWNER/NAME" on GitHub whose image workflow may push; empty: none
    repository_branch: str  # the branch it may push from
    keep_days: int  # soft delete of results, days
