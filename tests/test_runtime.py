"""Cores and memory: of the machine, and of control groups as containers have them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ohlora_fast import runtime
from ohlora_fast.ops.ombre_op import cpu_threads
from ohlora_fast.runtime import cpu_quota, free_in_groups, usable_cores, usable_memory


def files(root: Path, contents: dict[str, str]) -> Path:
    """Write the files of a system."""
    for name, text in contents.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("contents", "quota"),
    [
        # Version 2, of a container, of one that sees its host's path, and of a unit in a slice with less.
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/docker/1\n", "sys/fs/cgroup/cpu.max": "200000 100000\n"}, 2),
        (
            {
                "proc/self/cgroup": "0::/a.slice/b.service\n",
                "sys/fs/cgroup/a.slice/cpu.max": "50000 100000\n",
                "sys/fs/cgroup/a.slice/b.service/cpu.max": "400000 100000\n",
            },
            0.5,
        ),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        # Version 1, with both controllers in one folder or apart, and the host's path.
        (
            {
                "proc/self/cgroup": "4:cpu,cpuacct:/docker/1\n1:name=systemd:/\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "300000\n",
                "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            },
            3,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/x\n0::/\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "25000\n",
                "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "50000\n",
            },
            0.5,
        ),
        (
            {
                "proc/self/cgroup": "1:cpu:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            None,
        ),
        ({"proc/self/cgroup": "0::/../../x\nnonsense\n", "sys/fs/cgroup/cpu.max": "100000 0\n"}, None),
        ({}, None),
    ],
)
def test_quotas(tmp_path: Path, contents: dict[str, str], quota: float | None) -> None:
    assert cpu_quota(files(tmp_path, contents)) == quota


@pytest.mark.parametrize(("quota", "cores"), [(0.2, 1), (1.0, 1), (1.5, 2), (64.0, 8), (None, 8)])
def test_a_quota_counts_as_cores(quota: float | None, cores: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime, "_cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores() == cores
    assert cpu_threads(None) == cores


def test_memory_of_groups(tmp_path: Path) -> None:
    two = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/memory.max": "1000000\n",
        "sys/fs/cgroup/a/memory.current": "900000\n",
        "sys/fs/cgroup/a/memory.stat": "anon 500000\ninactive_file 300000\n",
        "sys/fs/cgroup/a/b/memory.max": "max\n",
        "sys/fs/cgroup/a/b/memory.current": "900000\n",
    }
    assert free_in_groups(files(tmp_path / "two", two)) == 400_000
    one = {
        "proc/self/cgroup": "3:memory:/docker/1\n",
        "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
        "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000\n",
        "sys/fs/cgroup/memory/memory.stat": "inactive_file 1\ntotal_inactive_file 100\n",
    }
    assert free_in_groups(files(tmp_path / "one", one)) == 1_500_100
    one["sys/fs/cgroup/memory/memory.limit_in_bytes"] = "9223372036854771712\n"
    assert free_in_groups(files(tmp_path / "one", one)) is None
    assert (usable_memory() or 1) > 0
