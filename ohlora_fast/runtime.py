"""Cores and memory that this process may use: of the machine, or of the container that it runs in."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

__all__ = ["usable_cores", "usable_memory"]


def usable_cores() -> int:
    """Number of cores this process may use: those it is bound to, at most a container's CPU quota, rounded up.

    Example:
        >>> usable_cores() >= 1
        True
    """
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota()
    return bound if quota is None else max(1, min(bound, math.ceil(quota)))


def usable_memory() -> int | None:
    """Bytes that this process may still take, of the machine's memory and of its container's; None if nothing tells.

    Example:
        >>> usable_memory() is None or usable_memory() >= 0
        True
    """
    free = [bytes_ for bytes_ in (_free_in_machine(), free_in_groups()) if bytes_ is not None]
    return max(0, min(free)) if free else None


@lru_cache(maxsize=1)
def _cpu_quota() -> float | None:
    return cpu_quota()


def cpu_quota(root: Path = Path("/")) -> float | None:
    """CPU quota of the control groups (versions 1 and 2) that this process is in, in cores; None if there is none.

    Args:
        root: holds ``proc`` and ``sys``.

    Example:
        >>> cpu_quota(Path("no such folder")) is None
        True
    """
    quotas = []
    for folder in _groups(root, "cpu"):
        quota, period = [*_words(folder / "cpu.max"), "", ""][:2]
        if not quota:
            quota = "".join(_words(folder / "cpu.cfs_quota_us"))
            period = "".join(_words(folder / "cpu.cfs_period_us"))
        if quota.isdigit() and period.isdigit() and int(quota) and int(period):  # "max" and -1 stand for no quota
            quotas.append(int(quota) / int(period))
    return min(quotas, default=None)


def free_in_groups(root: Path = Path("/")) -> int | None:
    """Bytes that the control groups of this process still allow it; what they only cache counts as free.

    Args:
        root: holds ``proc`` and ``sys``.

    Returns:
        The bytes, None if no group has a limit.

    Example:
        >>> free_in_groups(Path("no such folder")) is None
        True
    """
    free = []
    for folder in _groups(root, "memory"):
        for limit, usage, cached in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            allowed, used = "".join(_words(folder / limit)), "".join(_words(folder / usage))
            if not allowed.isdigit() or not used.isdigit() or int(allowed) >= 2**60:  # so version 1 says "no limit"
                continue
            words = _words(folder / "memory.stat")
            counts = dict(zip(words[::2], words[1::2], strict=False))
            free.append(int(allowed) - int(used) + int(counts.get(cached, 0)))
    return min(free, default=None)


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Folders of the control groups, from this process's own up to the topmost one that is seen from here."""
    mounted = root / "sys" / "fs" / "cgroup"
    for line in _lines(root / "proc" / "self" / "cgroup"):
        number, controllers, place = [*line.split(":", 2), "", ""][:3]
        if number == "0" and not controllers:
            tops = [mounted, mounted / "unified"]
        elif controller in controllers.split(","):
            tops = [mounted / controllers]
            tops += [mounted / controller] * (controllers != controller)
        else:
            continue
        # A container may see the path of its group on the host, which is not there, and its own group as the topmost.
        below = Path(place.lstrip("/"))
        for top in tops:
            for folder in (below, *below.parents):
                if ".." not in folder.parts:
                    yield top / folder


def _free_in_machine() -> int | None:
    for line in _lines(Path("/proc/meminfo")):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    if os.name == "nt":
        return _free_in_windows()
    try:  # macOS counts what it caches as taken: half of what is built in is a guess
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (ValueError, OSError):
        return None


def _free_in_windows() -> int | None:
    import ctypes

    class Status(ctypes.Structure):
        _fields_ = (("length", ctypes.c_uint32), ("load", ctypes.c_uint32), *((name, ctypes.c_uint64) for name in (
            "total", "free", "total_page", "free_page", "total_virtual", "free_virtual", "free_extended"
        )))  # fmt: skip

    status = Status(length=ctypes.sizeof(Status))
    kernel = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    return int(status.free) if kernel.GlobalMemoryStatusEx(ctypes.byref(status)) else None


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()
