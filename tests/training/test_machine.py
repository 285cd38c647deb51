"""This machine's resources, found without Ray."""

import os
from pathlib import Path

import pytest

from savanna.ray_cluster import machine
from savanna.ray_cluster.machine import usable_cpus, visible_gpus


@pytest.fixture
def many_cpus(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)


def files(root: Path, content: dict[str, str]) -> Path:
    for name, text in content.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V1 = "5:cpuacct:/box\n4:cpu,cpuset:/box\n1:name=systemd:/box\n"


@pytest.mark.parametrize(
    ("content", "cpus"),
    [
        ({}, 64),  # no control groups
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, 64),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "100000 100000\n"}, 1),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "350000 100000\n"}, 3),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "50000 100000\n"}, 1),
        # The parent group has less.
        (
            {
                "proc/self/cgroup": "0::/a/b\n",
                "sys/fs/cgroup/a/b/cpu.max": "800000 100000\n",
                "sys/fs/cgroup/a/cpu.max": "200000 100000\n",
            },
            2,
        ),
        # A container sees its own group as the root, but with its name on the host.
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "100000\n",
            },
            64,
        ),
        (
            {
                "proc/self/cgroup": V1,
                "sys/fs/cgroup/cpu/box/cpu.cfs_quota_us": "100000\n",
                "sys/fs/cgroup/cpu/box/cpu.cfs_period_us": "50000\n",
            },
            2,
        ),
    ],
)
def test_a_quota_limits_the_cpus(content, cpus, many_cpus, tmp_path):
    assert usable_cpus(files(tmp_path, content)) == cpus


def test_a_task_set_limits_the_cpus(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 5}, raising=False)
    assert usable_cpus(tmp_path) == 2


@pytest.mark.parametrize(
    ("there", "shown", "gpus"),
    [
        (4, None, 4),
        (4, "0,2", 2),
        (4, "GPU-1f3a", 1),
        (1, "0,1,2", 1),
        (4, "", 0),
        (4, "-1", 0),
        (4, "NoDevFiles", 0),
        (0, "0", 0),
        (0, None, 0),
    ],
)
def test_hidden_gpus_do_not_count(there, shown, gpus, monkeypatch):
    monkeypatch.setattr(machine, "_count_by_nvml", lambda: there)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if shown is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", shown)
    assert visible_gpus() == gpus


def test_it_is_what_ray_counts():
    """Ray, which is no longer asked, sees the same."""
    from ray._private.accelerators.nvidia_gpu import NvidiaGPUAcceleratorManager

    assert visible_gpus() == NvidiaGPUAcceleratorManager.get_current_node_num_accelerators()
