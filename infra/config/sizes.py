"""VM sizes as data; Ray's resources, shared memory and quota are derived from them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path

from infra.config.problems import did_you_mean

TABLE = Path(__file__).with_name("sizes.json")


@dataclass(frozen=True)
class VmSize:
    """One size of `sizes.json`."""

    name: str  # "Standard_NC8as_T4_v3"
    family: str  # name of the quota, as in `az vm list-usage`: "Standard NCASv3_T4 Family"
    vcpus: int
    memory_gib: float
    gpus: int
    gpu: str  # "T4 16 GB"; empty if none
    generations: tuple[int, ...]  # of the hypervisor: (1, 2)
    disk_controllers: tuple[str, ...]  # "SCSI", "NVMe"
    temp_disk_gib: int
    spot: bool  # offered as spot
    retires: str  # ISO date, past or announced; empty: none announced
    instead: str  # what to use once it is retired
    source: str  # source of the row

    def retired(self, today: date) -> bool:
        """Whether Azure no longer creates it."""
        return bool(self.retires) and date.fromisoformat(self.retires) <= today


class UnknownSize(Exception):
    """No such row; the message suggests a similar one."""


@cache
def load() -> dict[str, VmSize]:
    """Lower-case name -> size, in the table's order."""
    sizes = {}
    for series in json.loads(TABLE.read_text())["series"]:
        shared = {key: series[key] for key in ("family", "gpu", "spot", "retires", "source")}
        for row in series["sizes"]:
            sizes[row["name"].lower()] = VmSize(
                **shared,
                **{"instead": "", **row},
                generations=tuple(series["generations"]),
                disk_controllers=tuple(series["disk_controllers"]),
            )
    return sizes


def find(name: str) -> VmSize:
    """The size with that name, ignoring case; `UnknownSize` suggests a similar one."""
    if name.lower() in load():
        return load()[name.lower()]
    meant = did_you_mean(name, (size.name for size in load().values()))
    raise UnknownSize(f"no such VM size in infra/config/{TABLE.name}{meant}")


def refusal(size: VmSize, today: date) -> str:
    """Why a node cannot have this size, and what to use instead; else ''."""
    if size.retired(today):
        return f"was retired on {size.retires}; use {size.instead}"
    if 2 not in size.generations:
        retires = f" and retires on {size.retires}" if size.retires else ""
        return f"only runs generation 1 images{retires}, ours are generation 2; use {size.instead}"
    return ""


def warning(size: VmSize, today: date) -> str:
    """What to know about a size that still works; else ''."""
    if size.retires and not size.retired(today):
        return f"retires on {size.retires}; use {size.instead}"
    return ""
