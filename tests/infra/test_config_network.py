"""The address plan and the security rules, for every network that can be configured."""

from ipaddress import IPv4Address, IPv4Network

from azure_settings import EXISTING, cluster, problems
from hypothesis import given, settings
from hypothesis import strategies as st

from infra.config.addresses import PRIVATE, usable
from infra.config.ports import CLOSED, rules, security_rules
from infra.facts import facts

ROLES = ("head", "worker")
plainly = settings(max_examples=60)


@st.composite
def inside(draw, outer: IPv4Network, shortest: int, longest: int) -> IPv4Network:
    """A range inside `outer` with a prefix between those two."""
    prefix = draw(st.integers(max(outer.prefixlen, shortest), longest))
    number = draw(st.integers(0, 2 ** (prefix - outer.prefixlen) - 1))
    return IPv4Network((int(outer.network_address) + number * 2 ** (32 - prefix), prefix))


@st.composite
def own_networks(draw) -> dict:
    """Settings of a network of our own."""
    space = draw(inside(draw(st.sampled_from(PRIVATE)), 8, 24))
    bastion = draw(st.booleans())
    nodes = draw(inside(space, 8, 24 if bastion else 27))
    admins = draw(st.lists(inside(PRIVATE[0], 8, 32).map(str), max_size=5))
    return {
        "addressSpace": str(space),
        "nodesRange": str(nodes),
        "bastion": bastion,
        "adminRanges": admins if bastion else ["10.9.0.0/24", *admins],
        "pools": [{"name": "cpu", "size": "Standard_D4as_v6", "max": 11}],
    }


@st.composite
def networks(draw):
    """Networks, our own or existing ones, with their settings; none in Docker's range."""
    chosen = draw(own_networks() | st.just({**EXISTING}))
    chosen["adminRanges"] = draw(st.permutations(chosen["adminRanges"]))
    found = problems(**chosen)
    if any("Docker" in line for line in found):
        docker = IPv4Network("172.17.0.0/16")
        assert IPv4Network(chosen["addressSpace"]).overlaps(docker)
        chosen |= {"addressSpace": "10.0.0.0/8", "nodesRange": "10.3.0.0/24"}
    return cluster(**chosen).network


@plainly
@given(own_networks())
def test_subnets_are_disjoint_and_inside(chosen):
    if problems(**chosen):
        assert IPv4Network(chosen["addressSpace"]).overlaps(IPv4Network("172.17.0.0/16"))
        return
    network = cluster(**chosen).network
    nodes = IPv4Network(chosen["nodesRange"])
    subnets = [network.head_subnet, network.worker_subnet]
    if chosen["bastion"]:
        assert network.bastion_subnet.prefixlen <= 26
        subnets.append(network.bastion_subnet)
    for number, one in enumerate(subnets):
        assert one.subnet_of(nodes) and one.subnet_of(network.address_space)
        assert not any(one.overlaps(other) for other in subnets[number + 1 :])
    assert network.head_address in list(network.head_subnet)[4:-1]  # Azure reserves the others
    assert usable(network.worker_subnet) >= 11


@plainly
@given(networks())
def test_priorities_and_names_are_unique_and_the_last_rule_denies_all(network):
    for role in ROLES:
        table = security_rules(network, role)
        priorities = [rule.priority for rule in table]
        assert priorities == sorted(set(priorities))
        assert priorities[0] >= 100 and priorities[-1] == 4096
        assert len({rule.name for rule in table}) == len(table)
        assert all(len(rule.description) <= 140 for rule in table)
        last = table[-1]
        assert (last.access, last.source, last.destination) == ("Deny", "*", "*")
        assert (last.protocol, last.destination_ports) == ("*", ("*",))
        assert all(rule.access == "Allow" for rule in table[:-1])
        assert all(rule.direction == "Inbound" for rule in table)


@plainly
@given(networks())
def test_no_rule_lets_the_internet_in(network):
    for role in ROLES:
        for rule in security_rules(network, role)[:-1]:
            source = IPv4Network(rule.source)  # and no tag such as Internet, nor "*"
            assert any(source.subnet_of(private) for private in PRIVATE)
            assert rule.protocol == "Tcp"
            if rule.destination_ports != ("22",):
                assert source in (network.worker_subnet, IPv4Network(network.head_address))


def allows(network, role, source: IPv4Address, port: int) -> bool:
    """Azure's decision: the first matching rule, by priority. Kept plain, to check the table."""
    for rule in sorted(security_rules(network, role), key=lambda rule: rule.priority):
        low_high = [one.partition("-")[::2] for one in rule.destination_ports]
        fits_port = rule.destination_ports == ("*",) or any(
            int(low) <= port <= int(high or low) for low, high in low_high
        )
        if fits_port and (rule.source == "*" or source in IPv4Network(rule.source)):
            return rule.access == "Allow"
    raise AssertionError("no rule decides")


# Written again by hand from Ray's documentation and measurements, to find slips in the table.
WORKERS = (10002, 10500, 10999)
NEEDED = {
    ("worker", "head"): {6379, 6380, 8076, *WORKERS},
    ("head", "worker"): {6380, 8076, 6382, 52365, *WORKERS},
    ("worker", "worker"): {6380, 8076, *WORKERS},
}
OTHER = {8265, 10001, 6381, 8080, 44217, 44227, 6006, 11000, 1, 80, 443, 65535, 22}


@plainly
@given(networks())
def test_every_port_is_open_for_those_who_need_it_and_closed_for_all_others(network):
    head, worker = network.head_address, network.worker_subnet[5]
    outsiders = [IPv4Address("10.255.255.254"), IPv4Address("9.9.9.9"), IPv4Address("192.168.0.9")]
    every = OTHER.union(*NEEDED.values())
    admins = [*network.admin_ranges, *([network.bastion_subnet] if network.bastion else [])]
    for (source, destination), needed in NEEDED.items():
        address = head if source == "head" else worker
        for port in every - {22}:
            assert allows(network, destination, address, port) == (port in needed)
    for role in ROLES:
        for one in outsiders:
            if one in network.worker_subnet:
                continue
            admin = any(one in prefix for prefix in admins)
            for port in every:
                assert allows(network, role, one, port) == (port == 22 and admin)


def test_every_port_of_cluster_env_is_in_the_table_or_said_to_be_closed():
    keys = {key for key in facts() if key.endswith("_PORT")}
    ports = {port for rule in rules() for port in rule.ports}
    workers = {"MIN_WORKER_PORT", "MAX_WORKER_PORT"}
    assert f"{facts()['MIN_WORKER_PORT']}-{facts()['MAX_WORKER_PORT']}" in ports
    for key in keys - workers:
        assert (facts()[key] in ports) != (key in CLOSED), key
    assert set(CLOSED) < keys


def test_the_old_services_ranges_are_the_default():
    network = cluster().network
    assert str(network.address_space) == "10.0.0.0/16"
    assert str(network.head_subnet) == "10.0.0.0/28"
    assert str(network.bastion_subnet) == "10.0.0.64/26"
    assert str(network.worker_subnet) == "10.0.0.128/25"
    assert str(network.head_address) == "10.0.0.4"


def test_as_many_workers_as_the_subnet_holds_and_no_more():
    def pools(count):
        return {"pools": [{"name": "cpu", "size": "Standard_D4as_v6", "max": count}]}

    assert problems(**pools(128 - 5)) == ()
    assert problems(**pools(128 - 4)) != ()
    assert problems(**pools(300), nodesRange="10.0.0.0/22") == ()
