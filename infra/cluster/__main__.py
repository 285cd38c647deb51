"""The program of a cluster: all of it goes when its stack is destroyed."""

import pulumi
from pulumi_azure_native import authorization

from infra.components.bastion import Bastion, BastionArgs
from infra.components.foundation import foundation
from infra.components.group import Group, GroupArgs
from infra.components.head import Head, HeadArgs
from infra.components.identity import IdentityArgs, NodeIdentity
from infra.components.machine import Site
from infra.components.names import prefix, tags
from infra.components.network import Network, NetworkArgs
from infra.components.place import Place
from infra.components.pool import Pool, PoolArgs
from infra.components.ray_token import RayToken, RayTokenArgs
from infra.components.roles import node_grants
from infra.components.stop_role import StopRole, StopRoleArgs
from infra.config.program import cluster_settings

s = cluster_settings()
known = foundation(s.foundation)
subscription = authorization.get_client_config().subscription_id
group = Group("group", GroupArgs(s, subscription))
place = Place(prefix(s), group.name, s.location, tags(s))
network = Network("network", NetworkArgs(place, s.network))
bastion = Bastion("bastion", BastionArgs(place, network, s.network.bastion_subnet))
token = RayToken("ray-token", RayTokenArgs(place, s.stack, known))
stop = StopRole("stop-role", StopRoleArgs(place, group.id))
grants = node_grants(subscription, known, token, stop, group)
sites = {}
for role in ("head", "worker"):
    who = NodeIdentity(f"{role}-identity", IdentityArgs(place, role, grants))
    where = network.subnets[role], network.security_groups[role]
    sites[role] = Site(place, *where, who, known, token)
head = Head("head", HeadArgs(s, sites["head"]))
pools = {pool.name: Pool(pool.name, PoolArgs(s, pool, sites["worker"])) for pool in s.pools}

pulumi.export("head", {"id": head.vm_id, "name": head.vm_name, "address": s.network.head_address})
