"""The operating systems that nodes boot, as data."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infra.config.sizes import VmSize

TABLE = Path(__file__).with_name("os_images.json")


@dataclass(frozen=True)
class OsImage:
    """One exact version of an image in Azure's marketplace."""

    publisher: str
    offer: str
    sku: str
    version: str
    generation: int  # of the hypervisor
    disk_controllers: tuple[str, ...]  # that it can boot from

    @property
    def urn(self) -> str:
        """As `az vm image show --urn` expects it."""
        return f"{self.publisher}:{self.offer}:{self.sku}:{self.version}"


@cache
def load() -> dict[str, OsImage]:
    """The images by kind of node: `gpu` and `cpu`."""
    table = json.loads(TABLE.read_text())
    return {
        kind: OsImage(
            **{key: table[kind][key] for key in ("publisher", "offer", "sku", "version")},
            generation=table[kind]["generation"],
            disk_controllers=tuple(table[kind]["disk_controllers"]),
        )
        for kind in ("gpu", "cpu")
    }


def os_image(size: VmSize) -> OsImage:
    """What a machine of this size boots."""
    return load()["gpu" if size.gpus else "cpu"]


def disk_controller(size: VmSize) -> str:
    """SCSI if the size has it, since every image boots from it. Newer sizes only have NVMe."""
    return "SCSI" if "SCSI" in size.disk_controllers else "NVMe"
