"""The cluster's program: destroying its stack removes everything."""

import pulumi

from infra.components.bastion import Bastion, BastionArgs
from infra.components.foundation import foundation
from infra.components.group import Group, GroupArgs
from infra.components.head import Head, HeadArgs
from infra.components.identities import Identities, IdentitiesArgs
from infra.components.machine import Site
from infra.components.network import Network, NetworkArgs
from infra.components.pool import Pool, PoolArgs
from infra.components.ray_token import RayToken, RayTokenArgs
from infra.config.pulumi_config import cluster_settings

s = cluster_settings()
known = foundation(s.foundation)
group = Group("group", GroupArgs(s))
place = group.place
network = Network("network", NetworkArgs(place, s.network))
bastion = s.network.bastion and Bastion("bastion", BastionArgs(place, s.network, network))
token = RayToken("ray-token", RayTokenArgs(place, known))
identities = Identities("identities", IdentitiesArgs(group, known, token))
common = (place, network, identities, known, token)
head = Head("head", HeadArgs(s, Site("head", *common)))
workers = Site("worker", *common)
pools = {pool.name: Pool(pool.name, PoolArgs(s, pool, workers)) for pool in s.pools}

pulumi.export("location", s.location)
pulumi.export("subscription", group.subscription)
pulumi.export("tenant", group.tenant)
pulumi.export("resource_group", place.group)
pulumi.export("head_vm", head.vm_name)
pulumi.export("head_vm_id", head.vm_id)
pulumi.export("head_unique_id", head.unique_id)
pulumi.export("head_address", str(s.network.head_address))
pulumi.export("scale_sets", {name: pool.scale_set for name, pool in pools.items()})
pulumi.export("bastion", bastion.name if bastion else "")
pulumi.export("storage_uri", pulumi.Output.concat(known.storage_uri, "/", s.stack))
pulumi.export("ray_token_uri", token.uri)
pulumi.export("expires", s.expires)
