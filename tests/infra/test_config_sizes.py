"""The table of VM sizes, and what it means for Ray."""

from dataclasses import replace
from datetime import date

import pytest
from azure_settings import cluster

from infra.config.settings import Pool
from infra.config.shape import shape
from infra.config.sizes import UnknownSize, find, load, refusal, warning

TODAY = date(2026, 11, 21)


def test_a_size_is_found_whatever_its_case():
    assert find("STANDARD_D2_V2") is find("Standard_D2_v2")
    assert find("standard_nc8as_t4_V3").gpus == 1


def test_an_unknown_size_proposes_a_close_one():
    with pytest.raises(UnknownSize, match="did you mean Standard_D16as_v6"):
        find("Standard_D16as_v66")


@pytest.mark.parametrize("size", load().values(), ids=lambda size: size.name)
def test_rows_are_complete(size):
    assert size.vcpus >= 1 and size.memory_gib >= 2 * size.vcpus
    assert bool(size.gpus) == bool(size.gpu)
    assert set(size.generations) <= {1, 2}
    assert set(size.disk_controllers) <= {"SCSI", "NVMe"} and size.disk_controllers
    assert "NVMe" not in size.disk_controllers or 2 in size.generations  # NVMe needs it
    assert size.source.startswith("https://")
    if size.retires:
        date.fromisoformat(size.retires)
        assert refusal(find(size.instead), TODAY) == warning(find(size.instead), TODAY) == ""
        assert find(size.instead).gpus >= min(size.gpus, 1)


def test_the_old_services_sizes_have_todays_replacements():
    assert "use Standard_NC8as_T4_v3" in refusal(find("STANDARD_NC6"), TODAY)
    assert "use Standard_D2as_v6" in refusal(find("STANDARD_D2_V2"), TODAY)


def test_a_retirement_warns_before_and_refuses_from_its_day():
    size = find("Standard_DS2_v2")
    assert (refusal(size, date(2028, 4, 30)), warning(size, date(2028, 5, 1))) == ("", "")
    assert "2028-05-01" in warning(size, date(2028, 4, 30))
    assert "2028-05-01" in refusal(size, date(2028, 5, 1))


def old_shape():
    """NC6 and four D2_V2, which today's settings refuse."""
    settings = cluster()
    head = replace(settings.head, size=find("STANDARD_NC6"))
    old = find("STANDARD_D2_V2")
    pool = Pool("cpu", old, settings.pools[0].image, 4, 4, False, -1, 64, 3)
    return shape(replace(settings, head=head, pools=(pool,)))


def test_the_old_shape_has_13_env_runners():
    old = old_shape()
    assert old.min_vcpus == old.max_vcpus == 6 + 4 * 2
    assert old.min_env_runners == old.max_env_runners == 13


def test_env_runners_follow_the_pools():
    got = shape(cluster())
    assert (got.min_env_runners, got.max_env_runners) == (8 + 16 - 1, 8 + 4 * 16 - 1)


def test_ray_resources_and_memory_follow_the_size():
    head, pool = shape(cluster()).nodes
    assert head.resources == {"CPU": 8, "GPU": 1}
    assert pool.resources == {"CPU": 16}
    assert (head.object_store_gib, head.shm_gib) == (pytest.approx(16.8), 20)
    assert (pool.object_store_gib, pool.shm_gib) == (pytest.approx(19.2), 23)


@pytest.mark.parametrize("name", [name for name, size in load().items() if size.memory_gib > 2])
def test_shared_memory_holds_the_object_store(name):
    size = load()[name]
    if refusal(size, TODAY):
        return
    node = shape(cluster(headSize=name)).nodes[0]
    assert node.object_store_gib <= node.shm_gib <= size.memory_gib


def test_shared_memory_can_be_set():
    assert shape(cluster(headShmGib=30)).nodes[0].shm_gib == 30
