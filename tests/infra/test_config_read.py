"""Reading the settings: correct values arrive."""

import pytest
from azure_settings import CLUSTER, DIGEST, EXISTING, NOW, SUBNET, cluster, foundation, rsa_key

from infra.config.problems import SettingsError
from infra.config.read import read_cluster, warnings


def test_defaults_build_a_gpu_head_and_a_spot_pool():
    settings = cluster()
    assert settings.head.size.name == "Standard_NC8as_T4_v3"
    assert settings.head.image.repository == "savanna-gpu"
    assert settings.head.image.version == DIGEST
    assert settings.head.image.by_digest
    (pool,) = settings.pools
    assert (pool.name, pool.size.name, pool.spot) == ("cpu", "Standard_D16as_v6", True)
    assert (pool.min, pool.max, pool.max_price) == (1, 4, -1)
    assert pool.image.repository == "savanna-cpu"
    assert settings.network.bastion
    assert settings.foundation == "organization/savanna-foundation/test"
    assert settings.expires == "2026-11-24T12:30Z"
    assert warnings(settings, NOW) == ()


def test_values_may_be_text_as_pulumi_gives_them():
    text = cluster(
        dev="true",
        bastion="false",
        adminRanges='["192.168.7.0/24"]',
        headDiskGib="256",
        pools='[{"name": "big", "size": "standard_d32AS_V6", "max": 3}]',
    )
    typed = cluster(
        dev=True,
        bastion=False,
        adminRanges=["192.168.7.0/24"],
        headDiskGib=256,
        pools=[{"name": "big", "size": "Standard_D32as_v6", "max": 3}],
    )
    assert text == typed
    assert [(pool.min, pool.max, pool.spot) for pool in text.pools] == [(0, 3, False)]


def test_any_number_of_pools():
    assert cluster(pools="").pools == ()
    many = [{"name": f"pool-{n}", "size": "Standard_D4as_v6", "max": 2} for n in range(20)]
    assert [pool.name for pool in cluster(pools=many).pools] == [one["name"] for one in many]


def test_a_cpu_cluster_needs_no_gpu_image():
    settings = cluster(headSize="Standard_D4as_v6", gpuImage="savanna-gpu:latest")
    assert settings.head.image.repository == "savanna-cpu"


def test_an_existing_subnet_holds_head_and_workers():
    network = cluster(**EXISTING).network
    assert str(network.head_subnet) == str(network.worker_subnet) == "10.8.4.0/24"
    assert str(network.head_address) == "10.8.4.10"
    assert network.existing_subnet_id == SUBNET
    assert not network.bastion


def test_an_announced_retirement_is_a_warning():
    settings = cluster(pools="[{name: old, size: Standard_F16s_v2, max: 1}]")
    assert warnings(settings, NOW) == (
        "pools.old.size 'Standard_F16s_v2': retires on 2028-11-15; use Standard_F16als_v6",
    )
    later = NOW.replace(year=2029)
    assert "was retired" in problems_at(
        later, pools="[{name: old, size: Standard_F16s_v2, max: 1}]"
    )


def problems_at(now, **given) -> str:
    with pytest.raises(SettingsError) as caught:
        read_cluster({**CLUSTER, **given}, "test", "organization", now)
    return str(caught.value)


def test_private_and_small_public_ranges_may_reach_ssh():
    given = ["10.0.0.0/8", "192.168.7.0/24", "100.64.0.0/16", "20.30.40.0/24", "20.30.41.7/32"]
    assert [str(one) for one in cluster(adminRanges=given).network.admin_ranges] == given


def test_rsa_keys_of_2048_bits_are_taken():
    assert cluster(sshPublicKey=rsa_key(2048)).ssh_public_key.startswith("ssh-rsa ")


def test_an_image_may_name_its_registry_and_in_development_a_tag():
    image = cluster(cpuImage=f"team.azurecr.io/rl/savanna-cpu{DIGEST}").pools[0].image
    assert (image.registry, image.repository) == ("team.azurecr.io", "rl/savanna-cpu")
    assert cluster(dev=True, cpuImage="savanna-cpu:abc").pools[0].image.version == ":abc"


def test_a_time_that_is_past_is_a_warning_for_down_must_still_work():
    late = cluster(expires="2026-11-21T12:30Z")
    [line] = warnings(late, NOW)
    assert "expires '2026-11-21T12:30Z'" in line and "--extend" in line
    assert not warnings(cluster(expires="2026-12-24T18:00Z"), NOW)


def test_expiry_is_kept_when_it_is_given():
    assert cluster(expires="2026-12-24T18:00Z").expires == "2026-12-24T18:00Z"
    assert cluster(lifetimeHours=24).expires == "2026-11-22T12:30Z"


def test_the_foundation_reads_with_defaults():
    settings = foundation()
    assert settings.budget_start == "2026-11-01"
    assert settings.budget_emails == ("rl-team@example.com",)
    assert settings.monthly_budget == 500
