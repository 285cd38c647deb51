"""Nodes in the settings: the head's size and the worker pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date

from infra.config.checks import check_name
from infra.config.problems import Problems, did_you_mean
from infra.config.project import flag, whole
from infra.config.settings import Image, Pool
from infra.config.shape import object_store_gib, shm_gib
from infra.config.sizes import UnknownSize, VmSize, find, refusal

# Keys of an entry of `pools`: default (None: must be set) and description.
POOL_KEYS: dict[str, tuple[object, str]] = {
    "name": (None, "Name of the scale set and of Ray's node type"),
    "size": (None, "VM size, from infra/config/sizes.json"),
    "spot": (False, "Rent at spot prices; Azure may take the machines away"),
    "maxPrice": (
        -1,
        "Most to pay for a spot machine, US dollars per hour; -1 means up to full price",
    ),
    "min": (0, "Machines that the cluster starts with"),
    "max": (None, "Machines that the pool may grow to"),
    "diskGib": (64, "Disk of each machine, GiB"),
    "shmGib": (0, "Shared memory of each container, GiB; 0 means 35 percent of its memory"),
}
MOST_INSTANCES = 1000  # of a scale set in flexible orchestration
LONGEST_NAME = 14
DISK = (30, 4095)  # GiB: what the OS image needs, the most that Azure takes for an OS disk
SHM_MOST = 4096


def read_size(key: str, name: str, today: date, problems: Problems) -> VmSize | None:
    """The size with that name, if a node may have it today; else None and a problem."""
    try:
        size = find(name)
    except UnknownSize as error:
        problems.add(key, name, str(error))
        return None
    if reason := refusal(size, today):
        problems.add(key, size.name, reason)
        return None
    return size


def read_shm(key: str, gib: int, size: VmSize, problems: Problems) -> int:
    """`gib` of shared memory; 0 means the default for the size."""
    store = object_store_gib(size)
    if gib and not store <= gib <= size.memory_gib:
        fix = f"must hold Ray's object store ({store:g}) within {size.name}'s {size.memory_gib:g}"
        problems.add(key, gib, f"{fix}; use {shm_gib(size)}, or 0")
    return gib or shm_gib(size)


def read_pools(
    entries: list[dict[str, object]],
    today: date,
    image_for: Callable[[VmSize], Image],
    problems: Problems,
) -> tuple[Pool, ...]:
    """The valid pools; a problem for everything that is wrong."""
    names: set[str] = set()
    pools = []
    for number, entry in enumerate(entries):
        key = f"pools[{number}]"
        name = str(entry.get("name", ""))
        if name in names:
            problems.add(f"{key}.name", name, "is taken; give the pool another name")
        names.add(name)
        pool = _read_pool(key, entry, today, image_for, problems)
        if pool:
            pools.append(pool)
    return tuple(pools)


def _read_pool(
    key: str,
    entry: Mapping[str, object],
    today: date,
    image_for: Callable[[VmSize], Image],
    problems: Problems,
) -> Pool | None:
    before = len(problems.lines)
    for name in entry:
        if name not in POOL_KEYS:
            meant = did_you_mean(str(name), POOL_KEYS) or f"; there are {', '.join(POOL_KEYS)}"
            problems.add(f"{key}.{name}", entry[name], f"no such setting{meant}")
    values = {name: default for name, (default, _) in POOL_KEYS.items()} | dict(entry)
    missing = [name for name in POOL_KEYS if values[name] is None]
    for name in missing:
        problems.add(f"{key}.{name}", "", f"must be set ({POOL_KEYS[name][1]})")

    def number(name: str, least: int, most: int) -> int:
        return whole(f"{key}.{name}", values[name], least, most, problems)

    if "name" not in missing:
        _check_pool_name(f"{key}.name", str(values["name"]), problems)
    least, most = number("min", 0, MOST_INSTANCES), number("max", 1, MOST_INSTANCES)
    if least > most and "max" not in missing:
        problems.add(f"{key}.min", least, f"is more than max {most}; lower min or raise max")
    spot = flag(f"{key}.spot", values["spot"], problems)
    price = _read_price(f"{key}.maxPrice", values["maxPrice"], spot, problems)
    disk = number("diskGib", *DISK)
    shm = number("shmGib", 0, SHM_MOST)
    size = None
    if "size" not in missing:
        size = read_size(f"{key}.size", str(values["size"]), today, problems)
    if size is None:
        return None
    if spot and not size.spot:
        problems.add(f"{key}.spot", True, f"Azure has no spot {size.name}; set spot to false")
    shm = read_shm(f"{key}.shmGib", shm, size, problems)
    image = image_for(size)
    if len(problems.lines) > before:
        return None
    return Pool(str(values["name"]), size, image, least, most, spot, price, disk, shm)


def _check_pool_name(key: str, name: str, problems: Problems) -> None:
    check_name(key, name, LONGEST_NAME, problems)
    if name == "head":
        problems.add(key, name, "is the head's node type; use another name")


def _read_price(key: str, value: object, spot: bool, problems: Problems) -> float:
    try:
        price = float(str(value))
    except ValueError:
        problems.add(key, value, "must be US dollars per hour, such as 0.25, or -1")
        return -1
    if price != -1 and not 0 < price < 1000:
        problems.add(key, value, "must be more than 0 US dollars per hour, or -1 for full price")
    elif price != -1 and not spot:
        problems.add(key, value, "only spot machines have a limit; remove it or set spot to true")
    return price
