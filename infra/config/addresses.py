"""The address plan: where head, workers and Bastion are in the nodes' range.

The lower half of the range starts with the head's subnet, and Bastion's subnet, if any, is in the
second half of that; the upper half belongs to the workers. 10.0.0.0/24 becomes 10.0.0.0/28 (head),
10.0.0.64/26 (Bastion) and 10.0.0.128/25 (workers).
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network

from infra.config.problems import Problems
from infra.config.settings import Network

RESERVED = 5  # addresses that Azure reserves in every subnet: the first four and the last
FIRST_FREE = 4
HEAD_PREFIX = 28
BASTION_PREFIX = 26  # the smallest that Azure accepts for Bastion
LONGEST = {False: 27, True: 24}  # prefix of the nodes' range, without and with Bastion
LONGEST_SUBNET = 29

# As Azure documents for virtual networks: RFC 1918 and RFC 6598. Azure's own 168.63.129.16 and
# 169.254.169.254 are also outside these ranges.
PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)
DOCKER = IPv4Network("172.17.0.0/16")  # of the bridge that Docker creates on every node


def parse_range(key: str, text: str, problems: Problems) -> IPv4Network | None:
    """An IPv4 range, or None and a problem."""
    try:
        return IPv4Network(text)
    except ValueError as error:
        fix = f"{error}; write it like 10.0.0.0/16"
        if "host bits set" in str(error):
            fix = f"is inside {IPv4Network(text, strict=False)}; write that"
        problems.add(key, text, fix)
        return None


def parse_address(key: str, text: str, problems: Problems) -> IPv4Address | None:
    """An IPv4 address, or None and a problem; None for an empty text."""
    try:
        return IPv4Address(text) if text else None
    except ValueError:
        problems.add(key, text, "is not an IPv4 address; write it like 10.0.0.4")
        return None


def check_range(key: str, network: IPv4Network, problems: Problems) -> None:
    """The range must be private, large enough for Azure, and unused on the nodes."""
    if not any(network.subnet_of(private) for private in PRIVATE):
        problems.add(key, str(network), f"use a private range, in {', '.join(map(str, PRIVATE))}")
    if network.overlaps(DOCKER):
        problems.add(key, str(network), f"overlaps Docker's {DOCKER} on the nodes; use another")
    if network.prefixlen > LONGEST_SUBNET:
        problems.add(key, str(network), f"too small for Azure; use a /{LONGEST_SUBNET} or larger")


def plan(
    address_space: IPv4Network,
    nodes: IPv4Network,
    bastion: bool,
    head_address: IPv4Address | None,
    admin_ranges: tuple[IPv4Network, ...],
    problems: Problems,
) -> Network | None:
    """A network of our own, or None and problems with `nodesRange` inside `addressSpace`."""
    before = len(problems.lines)
    if not nodes.subnet_of(address_space):
        problems.add("nodesRange", str(nodes), f"is outside addressSpace {address_space}")
    longest = LONGEST[bastion]
    if nodes.prefixlen > longest:
        with_bastion = " and Bastion (or set bastion to false)" if bastion else ""
        fix = f"too small for the nodes{with_bastion}; use a /{longest} or larger"
        problems.add("nodesRange", str(nodes), fix)
    if len(problems.lines) > before:
        return None
    lower, upper = nodes.subnets()
    head = next(lower.subnets(new_prefix=HEAD_PREFIX))
    quarter = list(lower.subnets())[1] if bastion else None
    address = head_address or head[FIRST_FREE]
    _check_head(address, head, problems)
    return Network(
        address_space=address_space,
        head_subnet=head,
        worker_subnet=upper,
        bastion_subnet=next(quarter.subnets(new_prefix=BASTION_PREFIX)) if quarter else None,
        head_address=address,
        admin_ranges=admin_ranges,
        existing_subnet_id="",
    )


def existing(
    subnet_id: str,
    subnet: IPv4Network,
    head_address: IPv4Address,
    admin_ranges: tuple[IPv4Network, ...],
    problems: Problems,
) -> Network | None:
    """Head and workers in an existing subnet, without any network of ours."""
    before = len(problems.lines)
    check_range("existingSubnetRange", subnet, problems)
    if len(problems.lines) > before:
        return None
    _check_head(head_address, subnet, problems)
    return Network(
        address_space=subnet,
        head_subnet=subnet,
        worker_subnet=subnet,
        bastion_subnet=None,
        head_address=head_address,
        admin_ranges=admin_ranges,
        existing_subnet_id=subnet_id,
    )


def usable(subnet: IPv4Network) -> int:
    """Addresses that machines can have."""
    return max(0, subnet.num_addresses - RESERVED)


def check_room(network: Network, max_workers: int, problems: Problems) -> None:
    """Every worker that the pools may grow to must have an address."""
    shared = bool(network.existing_subnet_id)
    room = usable(network.worker_subnet) - (1 if shared else 0)
    if max_workers > room:
        key = "existingSubnetRange" if shared else "nodesRange"
        problems.add(
            "pools",
            f"max {max_workers} workers in total",
            f"{network.worker_subnet} has room for {room}; lower max or set a larger {key}",
        )


def _check_head(address: IPv4Address, subnet: IPv4Network, problems: Problems) -> None:
    free = (subnet[FIRST_FREE], subnet[-2])
    if not free[0] <= address <= free[1]:
        problems.add(
            "headAddress",
            str(address),
            f"choose one from {free[0]} to {free[1]}: the head's subnet {subnet} "
            "without the addresses that Azure reserves",
        )
