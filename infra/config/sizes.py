"""VM sizes as data: what Ray's resources, shared memory and quota are derived from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class VmSize:
    """One row of `sizes.json`."""

    name: str  # "Standard_NC8as_T4_v3"
    family: str  # quota's name: "Standard NCASv3_T4 Family"
    vcpus: int
    memory_gib: float
    gpus: int
    gpu: str  # "T4 16 GB"; empty without
    generations: tuple[int, ...]  # of the hypervisor: (1, 2)
    disk_controllers: tuple[str, ...]  # "SCSI", "NVMe"
    temp_disk_gib: int
    spot: bool  # offered as spot
    retires: str  # ISO date, past or announced; empty: none announced
    instead: str  # what to use when it is retired or retires
    source: str  # where the row is from
