"""What the settings mean for Ray: resources per node type, env runners, shared memory."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

from infra.config.settings import ClusterSettings
from infra.config.sizes import VmSize
from infra.facts import number

GIB = 2**30


@dataclass(frozen=True)
class NodeShape:
    """One node type of Ray."""

    name: str  # "head" or the pool's name
    size: VmSize
    min: int
    max: int
    shm_gib: int
    object_store_gib: float

    @property
    def resources(self) -> dict[str, int]:
        """The resources of one node, as Ray counts them."""
        return {"CPU": self.size.vcpus} | ({"GPU": self.size.gpus} if self.size.gpus else {})


@dataclass(frozen=True)
class Shape:
    """The whole cluster, with the fewest and the most workers."""

    nodes: tuple[NodeShape, ...]  # the head first

    @property
    def min_vcpus(self) -> int:
        return sum(node.size.vcpus * node.min for node in self.nodes)

    @property
    def max_vcpus(self) -> int:
        return sum(node.size.vcpus * node.max for node in self.nodes)

    @property
    def min_env_runners(self) -> int:
        return env_runners(self.min_vcpus)

    @property
    def max_env_runners(self) -> int:
        return env_runners(self.max_vcpus)


def env_runners(vcpus: int) -> int:
    """One per vCPU, minus one for the learner; the old service had 6 + 4 x 2 - 1 = 13."""
    return max(0, vcpus - 1)


def shm_gib(size: VmSize) -> int:
    """Shared memory of the container, GiB: the object store plus some reserve."""
    return ceil(size.memory_gib * number("SHM_PERCENT") / 100)


def object_store_gib(size: VmSize) -> float:
    """Ray's object store, GiB; the entry script uses the same share of the memory it finds."""
    return size.memory_gib * number("OBJECT_STORE_PERCENT") / 100


def shape(settings: ClusterSettings) -> Shape:
    """Derived from the table of sizes, so that it always matches what is rented."""
    head = settings.head
    return Shape(
        (
            NodeShape("head", head.size, 1, 1, head.shm_gib, object_store_gib(head.size)),
            *(
                NodeShape(
                    pool.name,
                    pool.size,
                    pool.min,
                    pool.max,
                    pool.shm_gib,
                    object_store_gib(pool.size),
                )
                for pool in settings.pools
            ),
        )
    )
