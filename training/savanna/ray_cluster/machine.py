"""What this machine offers, without asking Ray."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from savanna.experiments import Machine

_NO_DEVICES = ("-1", "none", "void", "NoDevFiles")


def this_machine() -> Machine:
    """The CPUs this process may use and the GPUs it sees; a Ray started here gets the same."""
    return Machine(cpus=usable_cpus(), gpus=visible_gpus())


def usable_cpus(root: Path = Path("/")) -> int:
    """CPUs in this process's affinity mask, limited by the CPU quota of its control groups.

    A container with `--cpus=1` on a machine with 64 CPUs has one. `root` holds `proc` and `sys`.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *map(int, _quotas(root))]))


def _quotas(root: Path) -> Iterator[float]:
    """CPU time per second that each control group of this process, and each parent, allows."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    mount = root / "sys/fs/cgroup"
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        base = mount / "cpu" if controllers else mount
        # In a container the path is the host's, but its own group is mounted at the top.
        below = PurePosixPath(path.lstrip("/"))
        for group in (below, *below.parents):
            quota = _quota_v1(base / group) if controllers else _quota_v2(base / group)
            if quota is not None:
                yield quota


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 and period > 0 else None


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # also "max": no limit
        return None


def visible_gpus() -> int:
    """NVIDIA GPUs on this machine, without those that `CUDA_VISIBLE_DEVICES` hides."""
    there = _count_by_nvml()
    if there is None:
        there = len(list(Path("/dev").glob("nvidia[0-9]*")))
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    if shown is None:
        return there
    names = [name.strip() for name in shown.split(",") if name.strip()]
    if not names or names[0] in _NO_DEVICES:
        return 0
    return min(there, len(names))


def _count_by_nvml() -> int | None:
    """The count of the driver's own library; `None` without the library."""
    try:
        nvml = ctypes.CDLL("libnvidia-ml.so.1")
        if nvml.nvmlInit_v2() != 0:
            return 0
        count = ctypes.c_uint()
        found = nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0
        nvml.nvmlShutdown()
        return count.value if found else 0
    except (OSError, AttributeError):
        return None
