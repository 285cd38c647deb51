"""The table of what changing a setting does, held against what the programs declare."""

import pytest
from azure_settings import EXISTING, SUBNET, rsa_key
from azure_settings import cluster as cluster_settings
from azure_settings import foundation as foundation_settings
from example import CLUSTER, FOUNDATION, cluster, foundation

from infra.config import plain, project
from infra.config.changes import CLUSTER as TABLE
from infra.config.changes import FOUNDATION as FOUNDATION_TABLE
from infra.config.changes import POOL as POOL_TABLE
from infra.config.changes import Effect, changes, foundation_changes
from infra.config.pools import POOL_KEYS
from infra.plan.effects import compare

IDLE = {"expires": "2099-01-01T00:00Z"}
OTHER_DIGEST = "@sha256:" + "fedcba9876543210" * 4
CPU = "name: cpu, size: Standard_D16as_v6, spot: true, min: 1, max: 4"
STEADY = "{name: steady, size: Standard_D8as_v6, min: 0, max: 2}"


def pools(cpu: str, steady: str = STEADY) -> dict:
    return {"pools": f"[{{{cpu}}}, {steady}]"}


WITHOUT_BASTION = {"bastion": False, "adminRanges": ["10.200.0.0/24"]}
# Key -> settings before and after; in both, all others are the example's.
EXAMPLES = {
    "owner": ({}, {"owner": "another-team"}),
    "sshPublicKey": ({}, {"sshPublicKey": rsa_key(2048)}),
    "tags": ({}, {"tags": "{team: rl}"}),
    "name": ({}, {"name": "other"}),
    "location": ({}, {"location": "eastus"}),
    "resourceGroup": ({}, {"resourceGroup": "theirs"}),
    "dev": ({}, {"dev": True}),
    "cpuImage": ({}, {"cpuImage": f"savanna-cpu{OTHER_DIGEST}"}),
    "gpuImage": ({}, {"gpuImage": f"savanna-gpu{OTHER_DIGEST}"}),
    "headSize": ({}, {"headSize": "Standard_NC4as_T4_v3"}),
    "headDiskGib": ({}, {"headDiskGib": 256}),
    "headShmGib": ({}, {"headShmGib": 30}),
    "addressSpace": ({}, {"addressSpace": "10.0.0.0/15"}),
    "nodesRange": ({}, {"nodesRange": "10.0.4.0/24"}),
    "headAddress": ({}, {"headAddress": "10.0.0.5"}),
    "existingSubnetId": (EXISTING, {**EXISTING, "existingSubnetId": f"{SUBNET}-2"}),
    "existingSubnetRange": (EXISTING, {**EXISTING, "existingSubnetRange": "10.8.4.0/25"}),
    "bastion": ({"adminRanges": ["10.200.0.0/24"]}, WITHOUT_BASTION),
    "adminRanges": (WITHOUT_BASTION, {**WITHOUT_BASTION, "adminRanges": ["10.201.0.0/24"]}),
    "joinMinutes": ({}, {"joinMinutes": 30}),
    "idleMinutes": ({}, {"idleMinutes": 90}),
    "maxHours": ({}, {"maxHours": 48}),
    "lifetimeHours": ({}, {"lifetimeHours": 96}),
    "expires": ({}, {"expires": "2099-02-01T00:00Z"}),
    "pools.name": ({}, pools(CPU.replace("name: cpu", "name: burst"))),
    "pools.size": ({}, pools(CPU.replace("D16as", "D8as"))),
    "pools.spot": ({}, pools(CPU.replace("true", "false"))),
    "pools.maxPrice": (pools(f"{CPU}, maxPrice: 0.4"), pools(f"{CPU}, maxPrice: 0.5")),
    "pools.min": ({}, pools(CPU.replace("min: 1", "min: 3"))),
    "pools.max": ({}, pools(CPU.replace("max: 4", "max: 8"))),
    "pools.diskGib": ({}, pools(f"{CPU}, diskGib: 128")),
    "pools.shmGib": ({}, pools(f"{CPU}, shmGib: 30")),
}
STRICTER = {
    "existingSubnetId": "Azure moves no interface to another network",
    "existingSubnetRange": "the subnet itself is not ours to change",
}
"""Where the table refuses what the resources alone would allow, and why."""
UNSEEN = {"lifetimeHours", "expires"}
"""Not exported, for they follow the clock; their rules are checked by what the programs declare."""


def found(before: dict, after: dict) -> tuple[Effect, bool, bool]:
    """What the programs say: the worst effect, and whether it is on the head and on workers."""
    touched = list(compare(cluster(**IDLE | before), cluster(**IDLE | after)))
    worst = max((one.effect for one in touched), default=Effect.NOTHING)
    return worst, any(one.head for one in touched), any(one.workers for one in touched)


def values(given: dict) -> dict:
    return plain.cluster({**CLUSTER, **given}, cluster_settings(**{**CLUSTER, **given}))


def test_every_setting_is_in_the_table_and_has_an_example():
    assert list(TABLE) == list(project.load(project.CLUSTER).keys)
    assert list(POOL_TABLE) == list(POOL_KEYS)
    assert list(FOUNDATION_TABLE) == list(project.load(project.FOUNDATION).keys)
    keys = {*TABLE, *(f"pools.{key}" for key in POOL_TABLE)}
    assert set(EXAMPLES) == keys - {"pools", "foundation"}
    assert set(FOUNDATION_EXAMPLES) == set(FOUNDATION_TABLE)


@pytest.mark.parametrize("key", EXAMPLES)
def test_the_table_is_what_the_programs_do(key):
    before, after = EXAMPLES[key]
    effect, head, workers = found(before, after)
    if key in UNSEEN:
        assert TABLE[key].effect == effect
        return
    said = changes(values(before), values(after))
    name = key.split(".")[-1]
    assert any(name in one.key.split(".") or key == "pools.name" for one in said), said
    worst = max(one.rule.effect for one in said)
    if key == "pools.min":  # the program leaves the number alone; `make up` scales
        assert (worst, effect) == (Effect.IN_PLACE, Effect.NOTHING)
        return
    if key in STRICTER:
        assert worst == Effect.IMPOSSIBLE > effect
        return
    assert worst == effect
    if effect in (Effect.RESTARTS, Effect.REPLACES):
        assert any(one.rule.head for one in said) == head
        assert any(one.rule.workers for one in said) == workers


def test_a_smaller_disk_of_the_head_is_refused_and_a_size_of_the_same_kind_only_restarts_it():
    [one] = changes(values({"headDiskGib": 256}), values({"headDiskGib": 128}))
    assert one.rule.effect == Effect.IMPOSSIBLE
    assert one.line == "headDiskGib 256 -> 128: not possible: Azure shrinks no disk"
    same = found({"headSize": "Standard_D8as_v5"}, {"headSize": "Standard_B8as_v2"})
    assert same == (Effect.RESTARTS, True, False)


def test_what_is_written_otherwise_but_means_the_same_is_no_change():
    typed = {"headAddress": "10.0.0.4", "bastion": "true", "idleMinutes": "30", "adminRanges": "[]"}
    assert changes(values({}), values(typed)) == []
    assert changes(values({}), values({"headSize": "standard_nc8AS_t4_v3"})) == []
    assert changes(values({}), values(pools(f"{CPU}, maxPrice: -1, diskGib: 64"))) == []


def test_another_foundation_is_not_possible_but_may_be_written_in_full():
    assert changes(values({}), values({"foundation": "acme/savanna-foundation/test"})) == []
    [one] = changes(values({}), values({"foundation": "shared"}))
    assert one.rule.effect == Effect.IMPOSSIBLE


def test_an_image_that_no_machine_runs_changes_nothing():
    no_gpu = {"headSize": "Standard_D8as_v6"}
    other = {"gpuImage": f"savanna-gpu{OTHER_DIGEST}"}
    assert found(no_gpu, no_gpu | other)[0] == Effect.NOTHING
    [one] = changes(values(no_gpu), values(no_gpu | other))
    assert one.rule.effect == Effect.NOTHING


def test_limits_are_no_boot_data():
    """They replaced the head, so whoever wanted two more hours for a job lost it."""
    limits = {"joinMinutes": 30, "idleMinutes": 90, "maxHours": 48}
    touched = list(compare(cluster(**IDLE), cluster(**IDLE | limits)))
    assert {one.why for one in touched} == {"tags.savanna-limits"}
    assert {one.resource for one in touched} == {"head-machine", "cpu-set", "steady-set"}


FOUNDATION_EXAMPLES = {
    "owner": "another-team",
    "tags": "{team: rl}",
    "budgetEmails": ["someone@example.com"],
    "name": "other",
    "location": "eastus",
    "resourceGroup": "theirs",
    "registry": "/subscriptions/00000000-1111-2222-3333-444444444444/resourceGroups/hub/providers/"
    "Microsoft.ContainerRegistry/registries/hub",
    "monthlyBudget": 900,
    "budgetStart": "2026-12-01",
    "repository": "",
    "repositoryBranch": "release",
    "keepDays": 30,
}


@pytest.mark.parametrize("key", FOUNDATION_EXAMPLES)
def test_the_table_is_what_the_foundation_does(key):
    change = {key: FOUNDATION_EXAMPLES[key]}
    touched = list(compare(foundation(), foundation(**change)))
    effect = max((one.effect for one in touched), default=Effect.NOTHING)
    rule = FOUNDATION_TABLE[key]
    if key == "registry":  # the clusters would lose theirs
        assert rule.effect == Effect.IMPOSSIBLE
        return
    assert rule.effect == effect

    def values(given: dict) -> dict:
        return plain.foundation(given, foundation_settings(**given))

    said = foundation_changes(values(FOUNDATION), values(FOUNDATION | change))
    assert [one.key for one in said] == ([] if key == "budgetStart" else [key])
